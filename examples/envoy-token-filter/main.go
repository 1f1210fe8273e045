// A plug-in that fetches a token on a timer and puts it into every response: see README.md.
package main

import (
	"encoding/json"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// The token that was fetched last. Each worker has a VM of its own, and so its own token.
var token string

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

type settings struct {
	TickMilliseconds uint32 `json:"tickMilliseconds"`
	TimeoutMs        uint32 `json:"timeoutMilliseconds"`
	Cluster          string `json:"cluster"`
	// A request for this path makes the plug-in panic: shows what a crash does.
	PanicPath string `json:"panicPath"`
}

type pluginContext struct {
	types.DefaultPluginContext
	settings settings
}

func (ctx *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	ctx.settings = settings{TickMilliseconds: 15_000, TimeoutMs: 5_000, Cluster: "my_custom_svc"}
	text, err := proxywasm.GetPluginConfiguration()
	if err != nil && err != types.ErrorStatusNotFound {
		proxywasm.LogCriticalf("cannot read the configuration: %v", err)
		return types.OnPluginStartStatusFailed
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &ctx.settings); err != nil {
			proxywasm.LogCriticalf("the configuration is no JSON object of settings: %v", err)
			return types.OnPluginStartStatusFailed
		}
	}
	if err := proxywasm.SetTickPeriodMilliSeconds(ctx.settings.TickMilliseconds); err != nil {
		proxywasm.LogCriticalf("cannot set the period of the timer: %v", err)
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfof("asks %s for a token every %d ms", ctx.settings.Cluster,
		ctx.settings.TickMilliseconds)
	return types.OnPluginStartStatusOK
}

func (ctx *pluginContext) OnTick() {
	headers := [][2]string{
		{":method", "GET"}, {":path", "/auth"}, {":authority", ctx.settings.Cluster},
		{"accept", "*/*"},
	}
	_, err := proxywasm.DispatchHttpCall(ctx.settings.Cluster, headers, nil, nil,
		ctx.settings.TimeoutMs, onAnswer)
	if err != nil {
		proxywasm.LogCriticalf("cannot ask for a token: %v", err)
	}
}

func onAnswer(int, int, int) {
	headers, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		proxywasm.LogErrorf("cannot read the answer of the token service: %v", err)
		return
	}
	for _, header := range headers {
		if header[0] == "authorization" {
			token = header[1]
			proxywasm.LogInfof("has the token %s", token)
			return
		}
	}
	proxywasm.LogWarnf("the token service answered without a token: %v", headers)
}

func (ctx *pluginContext) NewHttpContext(uint32) types.HttpContext {
	return &httpContext{panicPath: ctx.settings.PanicPath}
}

type httpContext struct {
	types.DefaultHttpContext
	panicPath string
}

func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	if ctx.panicPath == "" {
		return types.ActionContinue
	}
	path, err := proxywasm.GetHttpRequestHeader(":path")
	if err == nil && path == ctx.panicPath {
		panic("asked to")
	}
	return types.ActionContinue
}

func (*httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	add("x-wasm-filter", "hello from wasm")
	add("x-auth", token)
	return types.ActionContinue
}

func add(name, value string) {
	if err := proxywasm.AddHttpResponseHeader(name, value); err != nil {
		proxywasm.LogErrorf("cannot add %s: %v", name, err)
	}
}
