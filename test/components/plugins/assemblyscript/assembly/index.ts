// The same plug-in in AssemblyScript, by @gcoredev/proxy-wasm-sdk-as: see ../README.md for what it
// does.

export * from "@gcoredev/proxy-wasm-sdk-as/assembly/proxy";
import {
  BaseContext,
  BufferTypeValues,
  Context,
  Counter,
  FilterDataStatusValues,
  FilterHeadersStatusValues,
  FilterTrailersStatusValues,
  Gauge,
  Histogram,
  LogLevelValues,
  RootContext,
  WasmResultValues,
  get_buffer_bytes,
  get_property,
  get_shared_data,
  log,
  makeHeaderPair,
  registerRootContext,
  send_http_response,
  set_buffer_bytes,
  set_shared_data,
  set_tick_period_milliseconds,
  stream_context,
} from "@gcoredev/proxy-wasm-sdk-as/assembly";

const LANGUAGE = "assemblyscript";
const CALL_TIMEOUT_MS = 1000;

// The configurations of the tests are flat objects of texts.
function textField(json: string, name: string): string {
  const start = `"${name}":"`;
  const at = json.indexOf(start);
  if (at === -1) return "";
  const rest = json.substring(at + start.length);
  return rest.substring(0, rest.indexOf('"'));
}

function sharedText(key: string): string {
  const shared = get_shared_data(key);
  return shared.result == WasmResultValues.Ok ? String.UTF8.decode(shared.value!) : "";
}

function addShared(key: string): i32 {
  let count = 0;
  let status: WasmResultValues = WasmResultValues.CasMismatch;
  while (status == WasmResultValues.CasMismatch) {
    const shared = get_shared_data(key);
    const isThere = shared.result == WasmResultValues.Ok;
    count = (isThere ? I32.parseInt(String.UTF8.decode(shared.value!)) : 0) + 1;
    status = set_shared_data(key, String.UTF8.encode(count.toString()), shared.cas);
  }
  if (status == WasmResultValues.Ok) return count;
  log(LogLevelValues.error, "shared data: " + status.toString());
  return 0;
}

class Root extends RootContext {
  // Defined when it is configured: a constructor may run before the host takes metrics.
  requests: Counter | null = null;
  active: Gauge | null = null;
  sizes: Histogram | null = null;
  cluster: string = "";

  createContext(id: u32): Context {
    return new Http(id, this);
  }

  onConfigure(size: u32): bool {
    if (size == 0) {
      log(LogLevelValues.critical, "no configuration");
      return false;
    }
    super.onConfigure(size);
    const configuration = this.getConfiguration();
    log(LogLevelValues.info, "configured with " + configuration);
    this.cluster = textField(configuration, "cluster");
    this.requests = new Counter(`sdk_${LANGUAGE}_requests`);
    this.active = new Gauge(`sdk_${LANGUAGE}_active`);
    this.sizes = new Histogram(`sdk_${LANGUAGE}_sizes`);
    set_tick_period_milliseconds(100);
    return true;
  }

  onTick(): void {
    addShared("ticks");
    if (this.cluster == "") return;
    const headers = [
      makeHeaderPair(":method", "GET"),
      makeHeaderPair(":path", "/token"),
      makeHeaderPair(":authority", this.cluster),
    ];
    const status = this.httpCall(
      this.cluster,
      headers,
      new ArrayBuffer(0),
      [],
      CALL_TIMEOUT_MS,
      this,
      (_origin: BaseContext, _headers: u32, size: usize, _trailers: u32) => {
        const body = get_buffer_bytes(BufferTypeValues.HttpCallResponseBody, 0, <u32>size);
        set_shared_data("token", body);
      },
    );
    if (status != WasmResultValues.Ok) log(LogLevelValues.error, "call: " + status.toString());
  }
}

class Http extends Context {
  root: Root;
  size: u32 = 0;

  constructor(id: u32, root: Root) {
    super(id, root);
    this.root = root;
  }

  onRequestHeaders(_count: u32, _endOfStream: bool): FilterHeadersStatusValues {
    this.root.requests!.increment(1);
    this.root.active!.increment(1);
    const count = addShared("requests");
    const path = String.UTF8.decode(get_property("request\0path"));
    const headers = stream_context.headers.request;
    headers.add("x-sdk", LANGUAGE);
    headers.add("x-sdk-path", path);
    headers.add("x-sdk-count", count.toString());
    const user = headers.get("x-user");
    if (user != "") headers.replace("x-user", user.toUpperCase());
    headers.remove("x-secret");
    if (path != "/reply") return FilterHeadersStatusValues.Continue;
    const body = String.UTF8.encode("short and stout: " + LANGUAGE);
    send_http_response(418, "", body, [makeHeaderPair("x-teapot", LANGUAGE)]);
    return FilterHeadersStatusValues.StopIteration;
  }

  onRequestBody(size: usize, endOfStream: bool): FilterDataStatusValues {
    this.size = <u32>size;
    if (!endOfStream) return FilterDataStatusValues.StopIterationAndBuffer;
    const body = get_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, this.size);
    if (body.byteLength > 0) {
      const whole = String.UTF8.encode(LANGUAGE + ":" + String.UTF8.decode(body));
      set_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, this.size, whole);
    }
    return FilterDataStatusValues.Continue;
  }

  onResponseHeaders(_count: u32, _endOfStream: bool): FilterHeadersStatusValues {
    const headers = stream_context.headers.response;
    headers.add("x-sdk", LANGUAGE);
    const token = sharedText("token");
    if (token != "") headers.add("x-token", token);
    headers.add("x-ticks", sharedText("ticks"));
    return FilterHeadersStatusValues.Continue;
  }

  onResponseTrailers(_count: u32): FilterTrailersStatusValues {
    stream_context.trailers.response.add("x-sdk-trailer", LANGUAGE);
    return FilterTrailersStatusValues.Continue;
  }

  onLog(): void {
    this.root.active!.increment(-1);
    this.root.sizes!.record(this.root.sizes!.metric_id, this.size);
  }
}

registerRootContext((id: u32) => new Root(id), "");
