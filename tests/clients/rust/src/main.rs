//! Logs through tracing-loki: stockade-client URL COUNT.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() {
    let mut args = std::env::args().skip(1);
    let url = url::Url::parse(&args.next().expect("URL")).expect("a URL");
    let count: usize = args.next().expect("COUNT").parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let (layer, controller, task) = tracing_loki::builder()
        .label("app", "rust-tracing")
        .expect("a label")
        .extra_field("pid", std::process::id().to_string())
        .expect("a field")
        .build_controller_url(url)
        .expect("a layer");
    tracing_subscriber::registry().with(layer).init();
    let task = runtime.spawn(task);
    for number in 0..count {
        tracing::warn!(number, "tracing line {number}");
    }
    runtime.block_on(async {
        controller.shutdown().await;
        task.await.expect("the task sends what is left");
    });
}
