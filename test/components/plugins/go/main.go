// The same plug-in in Go, by proxy-wasm-go-sdk: see ../README.md for what it does.
package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const language = "go"

func main() {}

func init() {
	proxywasm.SetVMContext(&vmContext{})
}

type vmContext struct {
	types.DefaultVMContext
}

func (*vmContext) NewPluginContext(uint32) types.PluginContext {
	return &pluginContext{}
}

type pluginContext struct {
	types.DefaultPluginContext
	requests proxywasm.MetricCounter
	active   proxywasm.MetricGauge
	sizes    proxywasm.MetricHistogram
	cluster  string
}

func (ctx *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil || len(configuration) == 0 {
		proxywasm.LogCritical("no configuration")
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfof("configured with %s", configuration)
	ctx.cluster = textField(string(configuration), "cluster")
	ctx.requests = proxywasm.DefineCounterMetric("sdk_" + language + "_requests")
	ctx.active = proxywasm.DefineGaugeMetric("sdk_" + language + "_active")
	ctx.sizes = proxywasm.DefineHistogramMetric("sdk_" + language + "_sizes")
	if err := proxywasm.SetTickPeriodMilliSeconds(100); err != nil {
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// The configurations of the tests are flat objects of texts.
func textField(json, name string) string {
	_, rest, found := strings.Cut(json, `"`+name+`":"`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func addShared(key string) int {
	for {
		value, cas, err := proxywasm.GetSharedData(key)
		count := 0
		if err == nil {
			count, _ = strconv.Atoi(string(value))
		}
		err = proxywasm.SetSharedData(key, []byte(strconv.Itoa(count+1)), cas)
		if err == nil {
			return count + 1
		}
		if err != types.ErrorStatusCasMismatch {
			proxywasm.LogErrorf("shared data: %v", err)
			return 0
		}
	}
}

func (ctx *pluginContext) OnTick() {
	addShared("ticks")
	if ctx.cluster == "" {
		return
	}
	headers := [][2]string{{":method", "GET"}, {":path", "/token"}, {":authority", ctx.cluster}}
	_, err := proxywasm.DispatchHttpCall(ctx.cluster, headers, nil, nil, 1000,
		func(_, bodySize, _ int) {
			body, err := proxywasm.GetHttpCallResponseBody(0, bodySize)
			if err == nil {
				_ = proxywasm.SetSharedData("token", body, 0)
			}
		})
	if err != nil {
		proxywasm.LogErrorf("call: %v", err)
	}
}

func (ctx *pluginContext) NewHttpContext(uint32) types.HttpContext {
	return &httpContext{plugin: ctx}
}

type httpContext struct {
	types.DefaultHttpContext
	plugin *pluginContext
	size   int
}

func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	ctx.plugin.requests.Increment(1)
	ctx.plugin.active.Add(1)
	count := addShared("requests")
	path, err := proxywasm.GetProperty([]string{"request", "path"})
	if err != nil {
		proxywasm.LogErrorf("request.path: %v", err)
	}
	_ = proxywasm.AddHttpRequestHeader("x-sdk", language)
	_ = proxywasm.AddHttpRequestHeader("x-sdk-path", string(path))
	_ = proxywasm.AddHttpRequestHeader("x-sdk-count", strconv.Itoa(count))
	if user, err := proxywasm.GetHttpRequestHeader("x-user"); err == nil {
		_ = proxywasm.ReplaceHttpRequestHeader("x-user", strings.ToUpper(user))
	}
	_ = proxywasm.RemoveHttpRequestHeader("x-secret")
	if string(path) == "/reply" {
		_ = proxywasm.SendHttpResponse(418, [][2]string{{"x-teapot", language}},
			[]byte(fmt.Sprintf("short and stout: %s", language)), -1)
		return types.ActionPause
	}
	return types.ActionContinue
}

func (ctx *httpContext) OnHttpRequestBody(size int, endOfStream bool) types.Action {
	ctx.size = size
	if !endOfStream {
		return types.ActionPause
	}
	body, err := proxywasm.GetHttpRequestBody(0, ctx.size)
	if err == nil && len(body) > 0 {
		_ = proxywasm.ReplaceHttpRequestBody([]byte(language + ":" + string(body)))
	}
	return types.ActionContinue
}

func (ctx *httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	_ = proxywasm.AddHttpResponseHeader("x-sdk", language)
	if token, _, err := proxywasm.GetSharedData("token"); err == nil {
		_ = proxywasm.AddHttpResponseHeader("x-token", string(token))
	}
	ticks, _, _ := proxywasm.GetSharedData("ticks")
	_ = proxywasm.AddHttpResponseHeader("x-ticks", string(ticks))
	return types.ActionContinue
}

func (ctx *httpContext) OnHttpResponseTrailers(int) types.Action {
	_ = proxywasm.AddHttpResponseTrailer("x-sdk-trailer", language)
	return types.ActionContinue
}

func (ctx *httpContext) OnHttpStreamDone() {
	ctx.plugin.active.Add(-1)
	ctx.plugin.sizes.Record(uint64(ctx.size))
}
