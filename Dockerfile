# Stockade in an image of its own: one static-linked-enough binary, journalctl for the journal, certificates and
# time zones; nothing else, no shell. Build: docker build -t stockade .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make systemd ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY pipelines pipelines
COPY redaction redaction
COPY alerts alerts
# The test and bench targets that Cargo.toml names are not needed to build the binary, but must exist.
COPY tests tests
RUN cargo build --release --locked --bin stockade
# The root of the final image: the binary, journalctl, and exactly the libraries these two load.
RUN set -eu; root=/image; \
    mkdir -p $root/usr/bin $root/data $root/tmp $root/etc/ssl/certs $root/usr/share $root/var/log; \
    cp target/release/stockade $root/usr/bin/stockade; \
    cp /usr/bin/journalctl $root/usr/bin/journalctl; \
    ldd $root/usr/bin/stockade $root/usr/bin/journalctl \
      | awk '$2 == "=>" { print $3 } $1 ~ /^\// && NF == 2 { print $1 }' | sort -u \
      | while read -r library; do mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; done; \
    # Compressed journal fields are read through libraries that libsystemd opens by itself.
    for library in /usr/lib/*-linux-gnu/liblz4.so.1 /usr/lib/*-linux-gnu/libzstd.so.1 /usr/lib/*-linux-gnu/liblzma.so.5 /lib/*-linux-gnu/libgcrypt.so.20; do \
      [ ! -e "$library" ] || { mkdir -p "$root$(dirname "$library")"; cp -L "$library" "$root$library"; }; done; \
    cp /etc/ssl/certs/ca-certificates.crt $root/etc/ssl/certs/; \
    cp -a /usr/share/zoneinfo $root/usr/share/zoneinfo; \
    printf 'stockade:x:10001:10001:Stockade:/data:/sbin/nologin\n' > $root/etc/passwd; \
    printf 'stockade:x:10001:\n' > $root/etc/group; \
    chmod 1777 $root/tmp $root/data; chown 10001:10001 $root/data

FROM scratch
COPY --from=build /image/ /
USER 10001:10001
ENV STOCKADE_DATA_DIR=/data SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
VOLUME /data
EXPOSE 3100
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/stockade", "healthcheck"]
ENTRYPOINT ["/usr/bin/stockade"]
