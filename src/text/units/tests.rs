use super::*;

#[test]
fn go_durations() {
    #[track_caller]
    fn check(text: &str, expect: Option<i64>) {
        assert_eq!(parse_go_duration(text), expect, "{text}");
    }
    check("0", Some(0));
    check("-0", Some(0));
    check("+5s", Some(5_000_000_000));
    check("1h2m3.5s", Some(3_723_500_000_000));
    check("250us", Some(250_000));
    check("250\u{b5}s", Some(250_000));
    check("250\u{3bc}s", Some(250_000));
    check("-1.5h", Some(-5_400_000_000_000));
    check(".5s", Some(500_000_000));
    check("1.s", Some(1_000_000_000));
    check("5m1h", Some(3_900_000_000_000));
    check("0.000000000001h", Some(3));
    check("0.3333333333333333333h", Some(1_200_000_000_000));
    check("9223372036854775807ns", Some(i64::MAX));
    check("-9223372036854775808ns", Some(i64::MIN));
    check("9223372036854775808ns", None);
    check("3000000h", None);
    check("0.9223372036854775807h", Some(3_320_413_933_267));
    for bad in ["", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "1w", "1 s", "1sx", "1e3s"] {
        check(bad, None);
    }
}

#[test]
fn prometheus_durations() {
    #[track_caller]
    fn check(text: &str, expect: Option<i64>) {
        assert_eq!(parse_prometheus_duration(text), expect, "{text}");
    }
    check("0", Some(0));
    check("0s", Some(0));
    check("1h30m", Some(5_400_000_000_000));
    check("1y2w3d4h5m6s7ms", Some(33_019_506_007_000_000));
    check("100y", Some(3_153_600_000_000_000_000));
    check("00005m", Some(300_000_000_000));
    for bad in
        ["", "60", "1.5m", "5m1h", "1m1m", "1M", "-1m", "1m ", " 1m", "m", "10us", "1ns", "300y"]
    {
        check(bad, None);
    }
}

#[test]
fn prometheus_durations_print_short() {
    for (ns, text) in [
        (0, "0s"),
        (999_999, "0s"),
        (300_000_000_000, "5m"),
        (90_000_000_000, "1m30s"),
        (5_400_000_000_000, "1h30m"),
        (86_400_000_000_000, "1d"),
        (90 * 86_400_000_000_000, "90d"),
        (14 * 86_400_000_000_000, "2w"),
        (365 * 86_400_000_000_000, "1y"),
        (366 * 86_400_000_000_000, "366d"),
        (1_500_000_000, "1s500ms"),
        (-60_000_000_000, "-1m"),
    ] {
        assert_eq!(format_prometheus_duration(ns), text);
    }
}

#[test]
fn go_durations_print() {
    for (ns, text) in [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u{b5}s"),
        (2_200_000, "2.2ms"),
        (100_000_000, "100ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (5_400_000_000_000, "1h30m0s"),
        (3_456_000_000_000_000, "960h0m0s"),
        (245_001_000_000, "4m5.001s"),
        (-1_500_000_000, "-1.5s"),
        (i64::MIN, "-2562047h47m16.854775808s"),
        (i64::MAX, "2562047h47m16.854775807s"),
    ] {
        assert_eq!(format_go_duration(ns), text);
        assert_eq!(parse_go_duration(text), Some(ns), "{text}");
    }
}

#[test]
fn byte_sizes() {
    #[track_caller]
    fn check(text: &str, expect: Option<u64>) {
        assert_eq!(parse_bytes(text), expect, "{text}");
    }
    check("42", Some(42));
    check("42B", Some(42));
    check("42b", Some(42));
    check("42MB", Some(42_000_000));
    check("42mib", Some(44_040_192));
    check("10KB", Some(10_000));
    check("10kB", Some(10_000));
    check("10k", Some(10_000));
    check("10KiB", Some(10_240));
    check("1.5 MB", Some(1_500_000));
    check("1.5KiB", Some(1_536));
    check("1,005.03 MB", Some(1_005_030_000));
    check(".5GB", Some(500_000_000));
    check("12.5 EB", Some(12_500_000_000_000_000_000));
    check("16EiB", None);
    check("20EB", None);
    for bad in ["", "B", "-1B", "84 JB", "10 kilobytes", "1.2.3MB", ".", ",", "1e3", "0x10", "inf"]
    {
        check(bad, None);
    }
}

#[test]
fn byte_sizes_print() {
    for (bytes, si, iec) in [
        (0, "0 B", "0 B"),
        (9, "9 B", "9 B"),
        (10, "10 B", "10 B"),
        (1000, "1.0 kB", "1000 B"),
        (1024, "1.0 kB", "1.0 KiB"),
        (10_500, "10 kB", "10 KiB"),
        (82_854_982, "83 MB", "79 MiB"),
        (u64::MAX, "18 EB", "16 EiB"),
    ] {
        assert_eq!(format_bytes(bytes), si);
        assert_eq!(format_ibytes(bytes), iec);
    }
}

#[test]
fn floats() {
    for (value, sample, plain) in [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (0.95, "0.95", "0.95"),
        (100_000.0, "100000", "100000"),
        (123_456.75, "123456.75", "123456.75"),
        (1e6, "1000000", "1e+06"),
        (1_048_576.0, "1048576", "1.048576e+06"),
        (1e21, "1000000000000000000000", "1e+21"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "0.00001", "1e-05"),
        (1.5e-7, "0.00000015", "1.5e-07"),
        (f64::NAN, "NaN", "NaN"),
        (f64::INFINITY, "+Inf", "+Inf"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
    ] {
        assert_eq!(format_sample(value), sample);
        assert_eq!(format_go_float(value), plain);
    }
}
