# Puts clients of the server into a folder outside of the repository: install_clients FOLDER.
# Sourced by .ci/run; tests/it/clients.rs looks for them there (STOCKADE_CLIENTS).

install_clients() {
  local folder=$1 here; here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  mkdir -p "$folder/node"
  [ -x "$folder/python/bin/python" ] || python3 -m venv "$folder/python"
  "$folder/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
  cp "$here/node/package.json" "$folder/node/package.json"
  npm install --prefix "$folder/node" --silent --no-audit --no-fund
  cargo build --quiet --locked --manifest-path "$here/rust/Cargo.toml" --target-dir "$folder/rust"
}
