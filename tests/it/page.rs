//! The page in a real browser: lines are found, a row opens, live lines come in, and 100,000
//! rows stay a handful of elements.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{QUIET, Server, http, now_ns, real_part, wait_for};

/// A headless Chromium, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>).
struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    fn start(profile: &std::path::Path) -> Option<Browser> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let output = BufReader::new(driver.stdout.take().unwrap());
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            let rest = line.split("started successfully on port ").nth(1)?;
            Some(rest.trim_end_matches('.').to_owned())
        })?;
        let base = format!("http://127.0.0.1:{port}/session");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--window-size=1200,800".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments}}}});
        let json_type = [("Content-Type", "application/json")];
        let (status, body) = http("POST", &base, &json_type, wanted.to_string().as_bytes());
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap();
        Some(Browser { driver, session: format!("{base}/{id}") })
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let json_type = [("Content-Type", "application/json")];
        let url = format!("{}{path}", self.session);
        let (status, text) = http("POST", &url, &json_type, body.to_string().as_bytes());
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["value"].clone()
    }

    fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    fn count(&self, selector: &str) -> usize {
        let script = format!("return document.querySelectorAll({selector:?}).length");
        usize::try_from(self.run(&script).as_u64().unwrap()).unwrap()
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.textContent ?? ''");
        self.run(&script).as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = http("DELETE", &self.session, &[], b"");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn browser_is_here() -> bool {
    let is_here = Command::new("chromedriver").arg("--version").output().is_ok();
    real_part("chromium and chromedriver", is_here)
}

#[test]
fn search_open_follow_and_scroll() {
    if !browser_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(QUIET, &folder.path().join("data"));
    let now = now_ns();
    let labels = json!({"service_name": "shop"});
    for chunk in 0..20i64 {
        let lines: Vec<(i64, String)> = (0..5000)
            .map(|n| chunk * 5000 + n)
            .map(|n| (now - n * 1_000_000, format!(r#"{{"level":"info","msg":"row","n":{n}}}"#)))
            .collect();
        assert_eq!(server.push_lines(labels.clone(), &lines).0, 204);
    }
    let hostile = r#"<img src=x onerror="document.title='owned'"> needle level=error"#;
    assert_eq!(server.push_lines(labels.clone(), &[(now + 1, hostile.to_owned())]).0, 204);

    let browser = Browser::start(&folder.path().join("profile")).expect("chromedriver starts");
    browser.open(&server.url);
    wait_for("rows on the page", || (browser.count(".row") > 10).then_some(()));
    assert!(browser.text(".row .line").contains("needle"), "the newest line is on top");
    assert!(browser.count(".row.level-error") >= 1);
    wait_for("the histogram", || (browser.count("#histogram rect.bar") > 0).then_some(()));

    // Scrolling to the end again and again loads everything, and the document stays small.
    wait_for("100,000 rows", || {
        browser.run("const l = document.getElementById('list'); l.scrollTop = l.scrollHeight;");
        browser.text("#summary").starts_with("100000").then_some(())
    });
    assert!(browser.count("*") < 2000, "{} elements", browser.count("*"));
    let scrolled = browser.run(
        "const l = document.getElementById('list'); const began = performance.now(); \
         for (let i = 0; i < 50; i += 1) { l.scrollTop = i * l.scrollHeight / 50; l.getBoundingClientRect(); } \
         return performance.now() - began;",
    );
    assert!(scrolled.as_f64().unwrap() < 5000.0, "{scrolled} ms for 50 jumps");

    // A row opens and shows its fields; a click on "+" becomes part of the query.
    browser.open(&format!("{}/?query=needle", server.url));
    wait_for("one row", || (browser.count(".row") == 1).then_some(()));
    browser.run("document.querySelector('.row').click()");
    wait_for("the details", || browser.text(".details").contains("service_name").then_some(()));
    assert_eq!(browser.run("return document.title").as_str(), Some("Stockade"));
    assert_eq!(browser.count(".line img"), 0, "log text is never markup");
    // The lines around it come in place of the search, which one click brings back.
    browser.run("document.querySelector('.details button.context').click()");
    wait_for("the lines around", || {
        (browser.text("#summary").contains("around one of shop") && browser.count(".row") > 10)
            .then_some(())
    });
    assert!(browser.text(".details").contains("needle"), "the line itself is open");
    browser.run("document.querySelector('#summary button.go').click()");
    wait_for("the search again", || (browser.count(".row") == 1).then_some(()));
    browser.run("document.querySelector('.row').click()");
    wait_for("the details again", || {
        browser.text(".details").contains("service_name").then_some(())
    });
    browser.run("document.querySelector('.details .field button').click()");
    wait_for("the filter in the query", || {
        let query = browser.run("return document.getElementById('query').value");
        query.as_str().unwrap().contains("service_name=\"shop\"").then_some(())
    });

    // Live: a line that is pushed now appears by itself.
    browser.run("document.getElementById('query').value = 'freshly pushed'");
    browser.run("document.getElementById('tail').click()");
    wait_for("the live connection", || browser.text("#summary").contains("ollowing").then_some(()));
    let fresh = [(now_ns(), "freshly pushed line".to_owned())];
    assert_eq!(server.push_lines(labels, &fresh).0, 204);
    wait_for("the live line", || browser.text(".row .line").contains("freshly").then_some(()));

    // Where there is nothing, the page says where something is, and goes there.
    let old = [(now_ns() - 3 * 3600 * 1_000_000_000, "from the morning".to_owned())];
    assert_eq!(server.push_lines(json!({"service_name": "night"}), &old).0, 204);
    browser.open(&format!("{}/?query=service%3Anight+morning", server.url));
    wait_for("the way to the nearest line", || {
        (browser.count("#summary button.go[data-side=before]") == 1).then_some(())
    });
    browser.run("document.querySelector('#summary button.go').click()");
    wait_for("the old line", || browser.text(".row .line").contains("morning").then_some(()));

    // A query that does not parse is told under the box.
    browser.open(&format!("{}/?query=%7Ba%3D", server.url));
    wait_for("the parse error", || {
        browser.text("#query-error").contains("parse error").then_some(())
    });

    // On a phone nothing sticks out sideways.
    browser.post("/window/rect", &json!({"width": 390, "height": 800}));
    browser.open(&server.url);
    wait_for("rows", || (browser.count(".row") > 10).then_some(()));
    let wide = browser.run("return document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_i64().unwrap() <= 0, "{wide} pixels too wide");
    browser.run("document.getElementById('tab-alerts').click()");
    wait_for("the alerts", || browser.text("#alerts").contains("Rules").then_some(()));
}
