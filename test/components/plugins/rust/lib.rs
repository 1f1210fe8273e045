//! The same plug-in in Rust, by the proxy-wasm crate: see ../README.md for what it does.

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType, Status};
use std::time::Duration;

const LANGUAGE: &str = "rust";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::<Root>::default() });
}}

#[derive(Clone, Copy, Default)]
struct Metrics {
    requests: u32,
    active: u32,
    sizes: u32,
}

#[derive(Default)]
struct Root {
    metrics: Metrics,
    cluster: String,
}

impl Context for Root {
    fn on_http_call_response(&mut self, _token: u32, _headers: usize, size: usize, _: usize) {
        if let Some(body) = self.get_http_call_response_body(0, size) {
            let _ = self.set_shared_data("token", Some(&body), None);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let Some(bytes) = self.get_plugin_configuration() else {
            log::error!("no configuration");
            return false;
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        log::info!("configured with {text}");
        self.cluster = text_field(&text, "cluster");
        let define = |kind, name: &str| {
            hostcalls::define_metric(kind, &format!("sdk_{LANGUAGE}_{name}")).unwrap_or(0)
        };
        self.metrics = Metrics {
            requests: define(MetricType::Counter, "requests"),
            active: define(MetricType::Gauge, "active"),
            sizes: define(MetricType::Histogram, "sizes"),
        };
        self.set_tick_period(Duration::from_millis(100));
        true
    }

    fn on_tick(&mut self) {
        add_shared("ticks");
        if self.cluster.is_empty() {
            return;
        }
        let headers =
            vec![(":method", "GET"), (":path", "/token"), (":authority", self.cluster.as_str())];
        let timeout = Duration::from_secs(1);
        if let Err(status) = self.dispatch_http_call(&self.cluster, headers, None, vec![], timeout)
        {
            log::error!("call: {status:?}");
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http { metrics: self.metrics, size: 0 }))
    }
}

/// The configurations of the tests are flat objects of texts.
fn text_field(json: &str, name: &str) -> String {
    let start = format!("\"{name}\":\"");
    let rest = json.split_once(&start).map_or("", |(_, rest)| rest);
    rest.split_once('"').map_or("", |(value, _)| value).to_string()
}

fn add_shared(key: &str) -> u32 {
    loop {
        let (value, cas) = hostcalls::get_shared_data(key).unwrap_or((None, None));
        let count = value
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| text.parse::<u32>().ok())
            .unwrap_or(0);
        match hostcalls::set_shared_data(key, Some((count + 1).to_string().as_bytes()), cas) {
            Ok(()) => return count + 1,
            Err(Status::CasMismatch) => (),
            Err(status) => {
                log::error!("shared data: {status:?}");
                return 0;
            }
        }
    }
}

struct Http {
    metrics: Metrics,
    size: usize,
}

impl Context for Http {}

impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let _ = hostcalls::increment_metric(self.metrics.requests, 1);
        let _ = hostcalls::increment_metric(self.metrics.active, 1);
        let count = add_shared("requests");
        let path = self.get_property(vec!["request", "path"]).unwrap_or_default();
        let path = String::from_utf8_lossy(&path).into_owned();
        self.add_http_request_header("x-sdk", LANGUAGE);
        self.add_http_request_header("x-sdk-path", &path);
        self.add_http_request_header("x-sdk-count", &count.to_string());
        if let Some(user) = self.get_http_request_header("x-user") {
            self.set_http_request_header("x-user", Some(&user.to_uppercase()));
        }
        self.set_http_request_header("x-secret", None);
        if path == "/reply" {
            let body = format!("short and stout: {LANGUAGE}");
            self.send_http_response(418, vec![("x-teapot", LANGUAGE)], Some(body.as_bytes()));
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.size = size;
        if !end_of_stream {
            return Action::Pause;
        }
        if let Some(body) = self.get_http_request_body(0, self.size) {
            let whole = [LANGUAGE.as_bytes(), b":", &body].concat();
            self.set_http_request_body(0, self.size, &whole);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.add_http_response_header("x-sdk", LANGUAGE);
        if let (Some(token), _) = self.get_shared_data("token") {
            self.add_http_response_header("x-token", &String::from_utf8_lossy(&token));
        }
        let ticks = self.get_shared_data("ticks").0.unwrap_or_default();
        self.add_http_response_header("x-ticks", &String::from_utf8_lossy(&ticks));
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.add_http_response_trailer("x-sdk-trailer", LANGUAGE);
        Action::Continue
    }

    fn on_log(&mut self) {
        let _ = hostcalls::increment_metric(self.metrics.active, -1);
        let _ = hostcalls::record_metric(self.metrics.sizes, self.size as u64);
    }
}
