use super::*;

fn rule(name: &str) -> MultilineRule {
    MultilineRule {
        firstline: crate::text::re2::compile(preset(name).unwrap()).unwrap(),
        lines_max: 1000,
        bytes_max: 1 << 20,
        wait_max: Duration::from_secs(3),
    }
}

/// Records are separated by a line of dashes in `expect`, and by nothing in the input.
#[track_caller]
fn check(name: &str, expect: &str) {
    let rule = rule(name);
    let records: Vec<&str> = expect.split("\n----\n").collect();
    let mut joiner = Joiner::default();
    let mut found: Vec<String> = Vec::new();
    for line in records.join("\n").split('\n') {
        found.extend(joiner.push(&rule, line).into_iter().map(|joined| joined.text));
    }
    found.extend(joiner.flush().map(|joined| joined.text));
    assert_eq!(found, records, "{name}");
}

#[test]
fn java() {
    check(
        "java",
        "2026-11-20 11:00:00.123 ERROR [main] c.e.App - failed
java.lang.IllegalStateException: outer
\tat com.example.App.run(App.java:12)
\tat java.base/java.lang.Thread.run(Thread.java:840)
\tSuppressed: java.io.IOException: x
\t\tat com.example.A.b(A.java:1)
Caused by: java.sql.SQLException: inner
\tat com.example.Db.q(Db.java:7)
\t... 12 more
----
Started App in 2.1 seconds
----
[GC (Allocation Failure) 1K->2K]
----
Exception in thread \"main\" java.lang.NullPointerException
\tat com.example.App.main(App.java:3)
----
Creating pool
----
level=info msg=ready
----
{\"json\":true}",
    );
}

#[test]
fn python() {
    check(
        "python",
        "2026-11-20 11:00:00,123 ERROR app: failed
Traceback (most recent call last):
  File \"/app/x.py\", line 3, in f
    return 1 / 0
           ~~^~~
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"/app/x.py\", line 9, in g
    raise ValueError(\"x\")
ValueError: x

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File \"/app/x.py\", line 19, in h
requests.exceptions.ConnectionError: ('a', 1)
----
ERROR:root:failed again
Traceback (most recent call last):
  File \"x.py\", line 1, in <module>
KeyboardInterrupt
----
INFO:     127.0.0.1:5000 - \"GET / HTTP/1.1\" 200 OK
----
[2026-11-20 11:00:00 +0000] [7] [INFO] Booting worker
----
Training epoch 1
----
The server is up
----
Done in 3s
----
level=info msg=x",
    );
}

#[test]
fn go() {
    check(
        "go-panic",
        "2026/11/20 11:00:00 http: panic serving 10.0.0.1:5: boom
goroutine 34 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1868 +0xb9
panic({0x64d2e0?, 0x7a1f30?})
\t/usr/local/go/src/runtime/panic.go:920 +0x270
main.handler({0x7b5f08, 0xc0001a60e0}, 0x0)
\t/app/main.go:9 +0x1d
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3086 +0x5cb
----
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a]

goroutine 1 [running]:
main.main()
\t/app/main.go:8 +0x1d
exit status 2
----
time=2026-11-20T11:00:00Z level=info msg=x
----
{\"level\":\"info\"}
----
I1120 11:00:00.000000 1 a.go:1] x
----
starting server
----
[GIN] 2026/11/20 200
----
fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
main.main()
\t/app/main.go:5 +0x2d",
    );
}

#[test]
fn ruby() {
    check(
        "ruby",
        "E, [2026-11-20T11:00:00.123456 #12] ERROR -- : undefined method `x' for nil (NoMethodError)
/app/models/user.rb:12:in `name'
app/controllers/home_controller.rb:5:in `index'
<internal:kernel>:187:in `loop'
----
Started GET \"/\" for 127.0.0.1
----
/app/x.rb:3:in `foo': boom (RuntimeError)
\tfrom /app/x.rb:7:in `<main>'
----
app/x.rb:3:in 'Object#foo': boom (RuntimeError)
\tfrom app/x.rb:7:in '<main>'
----
worker started
----
level=info x=1",
    );
}

#[test]
fn node() {
    check(
        "node",
        "Unhandled: Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16) {
  errno: -111,
  code: 'ECONNREFUSED'
}
----
TypeError: Cannot read properties of undefined (reading 'x')
    at Object.<anonymous> (/app/index.js:3:9)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)
----
listening on 3000",
    );
}

#[test]
fn dotnet() {
    check(
        "dotnet",
        "fail: MyApp.Controllers.Home[0]
      Something failed
      System.InvalidOperationException: x
         at MyApp.Home.Index() in /src/Home.cs:line 12
----
2026-11-20 11:00:00.123 +00:00 [ERR] failed
System.InvalidOperationException: outer
 ---> System.ArgumentException: inner
   at MyApp.A.B() in /src/A.cs:line 5
   --- End of inner exception stack trace ---
--- End of stack trace from previous location ---
   at MyApp.C.D() in /src/C.cs:line 6
----
Unhandled exception. System.NullReferenceException: x
   at Program.Main()
----
info: Microsoft.Hosting.Lifetime[14]
      Now listening on: http://[::]:8080",
    );
}

#[test]
fn php() {
    check(
        "php",
        "PHP Fatal error:  Uncaught RuntimeException: inner in /app/x.php:3
Stack trace:
#0 /app/x.php(7): foo()
#1 {main}

Next LogicException: outer in /app/x.php:9
Stack trace:
#0 {main}
  thrown in /app/x.php on line 9
----
[2026-11-20 11:00:00] production.ERROR: boom {\"exception\":\"[object] (Exception(code: 0): boom at /app/a.php:3)
[stacktrace]
#0 /app/b.php(7): foo()
#1 {main}
\"}
----
[20-Nov-2026 11:00:00 UTC] PHP Warning:  x in /app/x.php on line 3
----
Starting worker
----
New connection",
    );
}

#[test]
fn postgres() {
    check(
        "postgres",
        "2026-11-20 11:00:00.123 UTC [77] ERROR:  duplicate key value violates unique constraint \"a\"
2026-11-20 11:00:00.123 UTC [77] DETAIL:  Key (id)=(1) already exists.
2026-11-20 11:00:00.123 UTC [77] STATEMENT:  insert into a
\tvalues (1)
\t-- LOG: x
----
2026-11-20 11:00:01.123 UTC [77] LOG:  duration: 12.3 ms  statement: select
\t1
----
2026-11-20 11:00:02 UTC:10.0.0.1(5432):alice@db:[77]:FATAL:  no",
    );
}

#[test]
fn bounds() {
    let mut rule = rule("java");
    rule.lines_max = 2;
    let mut joiner = Joiner::default();
    assert_eq!(joiner.push(&rule, "\tbefore any record").len(), 1);
    assert!(joiner.push(&rule, "A").is_empty());
    assert!(joiner.push(&rule, "\tb").is_empty());
    assert_eq!(joiner.held_lines(), 2);
    let cut = joiner.push(&rule, "\tc");
    assert_eq!(cut, vec![Joined { text: "A\n\tb".to_owned(), lines: 2 }]);
    assert_eq!(joiner.flush().map(|j| j.text).as_deref(), Some("\tc"));
    assert_eq!(preset("cobol"), None);
    assert!(PRESETS.iter().all(|name| preset(name).is_some()));
}
