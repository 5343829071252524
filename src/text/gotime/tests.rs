use proptest::prelude::*;

use super::*;

const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

fn zone(name: &str) -> Zone {
    Zone::Named(name.to_owned())
}

/// 2024-02-05 03:04:09.012345678 UTC, a Monday, day 36.
const TS: Timestamp = Timestamp(1_707_102_249_012_345_678);

#[track_caller]
fn check_format(layout: &str, expect: &str) {
    assert_eq!(format(TS, layout, &Zone::Utc), expect, "{layout}");
}

#[test]
fn formats_every_element() {
    check_format("Mon Jan _2 15:04:05 2006", "Mon Feb  5 03:04:09 2024");
    check_format("Mon, 02 Jan 2006 15:04:05 MST", "Mon, 05 Feb 2024 03:04:09 UTC");
    check_format("Monday January 2 2006", "Monday February 5 2024");
    check_format("2006-01-02T15:04:05Z07:00", "2024-02-05T03:04:09Z");
    check_format("2006-01-02T15:04:05-07:00", "2024-02-05T03:04:09+00:00");
    check_format(RFC3339_NANO, "2024-02-05T03:04:09.012345678Z");
    check_format("3:4:5 PM 03 pm", "3:4:9 AM 03 am");
    check_format("1/2/06 01", "2/5/24 02");
    check_format("002|__2|_2|02", "036| 36| 5|05");
    check_format("05.000 05,000000 05.999", "09.012 09,012345 09.012");
    check_format("-07 -0700 -07:00 -070000 -07:00:00", "+00 +0000 +00:00 +000000 +00:00:00");
    check_format("Z07 Z0700 Z070000 Z07:00:00", "Z Z Z Z");
    check_format("_2006 Janet Mondays x.0001 JAN", "_2024 Janet Mondays x.0002 JAN");
    check_format("", "");
    check_format("no elements h\u{e9}", "no elements h\u{e9}");
}

#[test]
fn formats_in_zones() {
    let show = |ts, zone: &Zone| format(ts, "2006-01-02 15:04:05 -0700 MST", zone);
    assert_eq!(show(TS, &zone("Europe/Berlin")), "2024-02-05 04:04:09 +0100 CET");
    assert_eq!(show(TS, &zone("America/New_York")), "2024-02-04 22:04:09 -0500 EST");
    // Far beyond the tables: the rule in the footer.
    let july_2060 = parse("2060-07-01", "2006-01-02", &Zone::Utc).unwrap().ts;
    assert_eq!(show(july_2060, &zone("Europe/Berlin")), "2060-07-01 02:00:00 +0200 CEST");
    assert_eq!(show(july_2060, &zone("Australia/Sydney")), "2060-07-01 10:00:00 +1000 AEST");
    let fixed = Zone::Fixed { offset_secs: -12_600, name: String::new() };
    assert_eq!(show(TS, &fixed), "2024-02-04 23:34:09 -0330 -0330");
    assert_eq!(show(ZERO_TIME, &Zone::Utc), "0001-01-01 00:00:00 +0000 UTC");
    assert!(load_zone("../../etc/passwd").is_err());
    assert!(load_zone("Mars/Olympus").is_err());
    assert_eq!(load_zone("Asia/Tokyo"), Ok(zone("Asia/Tokyo")));
}

#[track_caller]
fn check_parse(text: &str, layout: &str, in_zone: &Zone, expect: &str) {
    let shown = match parse(text, layout, in_zone) {
        Ok(parsed) if parsed.has_year => format(parsed.ts, RFC3339_NANO, &Zone::Utc),
        Ok(parsed) => format(parsed.ts, "--01-02T15:04:05.999999999Z07:00", &Zone::Utc),
        Err(error) => error.rsplit(": ").next().unwrap_or_default().to_owned(),
    };
    assert_eq!(shown, expect, "{text:?} by {layout:?}");
}

#[test]
fn parses_every_element() {
    let utc = &Zone::Utc;
    check_parse("2024-02-05T03:04:09.5+02:00", RFC3339_NANO, utc, "2024-02-05T01:04:09.5Z");
    check_parse("2024-02-05T03:04:09Z", RFC3339_NANO, utc, "2024-02-05T03:04:09Z");
    // A fraction is read even where the layout has none.
    check_parse("2024-02-05 03:04:09,123", "2006-01-02 15:04:05", utc, "2024-02-05T03:04:09.123Z");
    check_parse("03:04:09.120", "15:04:05.000", utc, "--01-01T03:04:09.12Z");
    check_parse("03:04:09.12", "15:04:05.000", utc, "expected 3 digits of fraction");
    check_parse("Feb  5 03:04:09", "Jan _2 15:04:05", utc, "--02-05T03:04:09Z");
    check_parse("Feb 29 03:04:09", "Jan _2 15:04:05", utc, "--02-29T03:04:09Z");
    check_parse("feb 15 3:04:09", "Jan _2 15:04:05", utc, "--02-15T03:04:09Z");
    check_parse(
        "05/Feb/2024:03:04:09 -0700",
        "02/Jan/2006:15:04:05 -0700",
        utc,
        "2024-02-05T10:04:09Z",
    );
    check_parse("12:30 AM 1/2/06", "3:04 PM 1/2/06", utc, "2006-01-02T00:30:00Z");
    check_parse("12:30 PM 1/2/99", "3:04 PM 1/2/06", utc, "1999-01-02T12:30:00Z");
    check_parse("2024 060", "2006 002", utc, "2024-02-29T00:00:00Z");
    check_parse("2023 366", "2006 002", utc, "day of the year out of range");
    check_parse("2023-02-29", "2006-01-02", utc, "day out of range");
    check_parse("2023-13-01", "2006-01-02", utc, "month out of range");
    check_parse("2024-02-05 25:00", "2006-01-02 15:04", utc, "hour out of range");
    check_parse("2024-02-05x", "2006-01-02", utc, "extra text at the end");
    check_parse("2024-02-0", "2006-01-02", utc, "expected a number");
    check_parse("1500-01-01", "2006-01-02", utc, "the year is outside 1678 to 2261");
    check_parse(
        "Monday, 05-Feb-24 03:04:09 GMT+3",
        "Monday, 02-Jan-06 15:04:05 MST",
        utc,
        "2024-02-05T00:04:09Z",
    );
    check_parse("2024-02-05 03:04 XYZ", "2006-01-02 15:04 MST", utc, "2024-02-05T03:04:00Z");
    check_parse("\u{e9}\u{e9}\u{e9}", "2006", utc, "expected a year of four digits");
}

#[test]
fn parses_in_zones() {
    let berlin = &zone("Europe/Berlin");
    check_parse("2024-07-01 12:00", "2006-01-02 15:04", berlin, "2024-07-01T10:00:00Z");
    check_parse("2024-01-01 12:00", "2006-01-02 15:04", berlin, "2024-01-01T11:00:00Z");
    check_parse("2024-07-01 12:00 CEST", "2006-01-02 15:04 MST", berlin, "2024-07-01T10:00:00Z");
    check_parse("2024-07-01 12:00 CET", "2006-01-02 15:04 MST", berlin, "2024-07-01T11:00:00Z");
    check_parse("2060-07-01 12:00", "2006-01-02 15:04", berlin, "2060-07-01T10:00:00Z");
}

fn any_zone() -> impl Strategy<Value = Zone> {
    prop_oneof![
        Just(Zone::Utc),
        Just(zone("America/St_Johns")),
        Just(zone("Australia/Lord_Howe")),
        Just(zone("Asia/Kolkata")),
        (-50_400i32..50_400)
            .prop_map(|s| Zone::Fixed { offset_secs: s / 60 * 60, name: String::new() }),
    ]
}

proptest! {
    #[test]
    fn what_is_formatted_parses_back(ns in -9_000_000_000_000_000_000i64..9_000_000_000_000_000_000, in_zone in any_zone()) {
        // Old local times have offsets with seconds; the full form carries them.
        for layout in [
            "2006-01-02T15:04:05.999999999Z07:00:00",
            "Mon Jan _2 15:04:05.000000000 -070000 2006",
            "Monday, 02 January 2006 03:04:05,000000000 pm -07:00:00",
            "2006 __2 3:4:5.999999999 PM Z070000",
        ] {
            let text = format(Timestamp(ns), layout, &in_zone);
            let back = parse(&text, layout, &Zone::Utc);
            prop_assert_eq!(back, Ok(Parsed { ts: Timestamp(ns), has_year: true }), "{} {}", layout, text);
        }
    }

    #[test]
    fn nothing_panics(text in ".{0,40}", layout in "(2006|01|Jan|_2|__2|002|15|3|04|05|\\.000|,999|PM|MST|Z07:00|-0700| |.){0,8}", ns: i64) {
        let _ = parse(&text, &layout, &zone("Europe/Berlin"));
        let shown = format(Timestamp(ns), &layout, &zone("Europe/Berlin"));
        let _ = parse(&shown, &layout, &Zone::Utc);
    }
}
