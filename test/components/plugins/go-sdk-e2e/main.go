// The plug-ins that the end-to-end tests of proxy-wasm-go-sdk expect, in one module: the first word
// of the configuration says which. See ../README.md.
package main

import (
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetVMContext(&vmContext{})
}

type vmContext struct {
	types.DefaultVMContext
}

func (*vmContext) OnVMStart(size int) types.OnVMStartStatus {
	if size > 0 {
		configuration, err := proxywasm.GetVMConfiguration()
		if err != nil {
			return types.OnVMStartStatusFailed
		}
		proxywasm.LogInfof("VM configuration: %s", configuration)
	}
	return types.OnVMStartStatusOK
}

func (*vmContext) NewPluginContext(id uint32) types.PluginContext {
	return &plugin{id: id}
}

// What a plug-in does beyond its start; nil where it does nothing.
type behaviour struct {
	start func(ctx *plugin) error
	tick  func(ctx *plugin)
	queue func(ctx *plugin, id uint32)
	http  func(ctx *plugin, id uint32) types.HttpContext
	tcp   func(ctx *plugin) types.TcpContext
}

var behaviours = map[string]behaviour{
	"dispatch_call_on_tick":   {start: ticking, tick: callOnTick},
	"foreign_call_on_tick":    {start: ticking, tick: compressOnTick},
	"helloworld":              {start: greet, tick: tellTime},
	"http_auth_random":        {http: authRandom},
	"http_body":               {http: editBody},
	"http_headers":            {http: logHeaders},
	"http_routing":            {http: routeInTurn},
	"json_validation":         {http: validate},
	"metrics":                 {http: countValues},
	"multiple_dispatches":     {http: callTenTimes},
	"network":                 {tcp: logBytes},
	"postpone_requests":       {start: ticking, tick: resumeOne, http: postpone},
	"properties":              {http: authByRoute},
	"shared_data":             {http: countShared},
	"shared_queue":            {start: openQueues, http: sendHeaders},
	"shared_queue_receiver":   {start: ownQueue, queue: receive},
	"shared_queue_tcp":        {start: openQueues, tcp: sendHash},
	"vm_plugin_configuration": {},
}

type plugin struct {
	types.DefaultPluginContext
	behaviour
	id        uint32
	arguments []string
	calls     int
	waiting   []uint32
	queues    map[string]uint32
	counters  map[string]proxywasm.MetricCounter
}

func (ctx *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	configuration, err := proxywasm.GetPluginConfiguration()
	words := strings.Fields(string(configuration))
	if err != nil || len(words) == 0 {
		proxywasm.LogCritical("the configuration's first word says which plug-in this is")
		return types.OnPluginStartStatusFailed
	}
	found, ok := behaviours[words[0]]
	if !ok {
		proxywasm.LogCriticalf("no plug-in %s here", words[0])
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfof("plug-in configuration: %s", configuration)
	ctx.behaviour = found
	ctx.arguments = words[1:]
	ctx.queues = map[string]uint32{}
	ctx.counters = map[string]proxywasm.MetricCounter{}
	if found.start != nil {
		if err := found.start(ctx); err != nil {
			proxywasm.LogCriticalf("start: %v", err)
			return types.OnPluginStartStatusFailed
		}
	}
	return types.OnPluginStartStatusOK
}

func (ctx *plugin) OnTick() {
	if ctx.tick != nil {
		ctx.tick(ctx)
	}
}

func (ctx *plugin) OnQueueReady(id uint32) {
	if ctx.queue != nil {
		ctx.queue(ctx, id)
	}
}

func (ctx *plugin) NewHttpContext(id uint32) types.HttpContext {
	if ctx.http == nil {
		return nil
	}
	return ctx.http(ctx, id)
}

func (ctx *plugin) NewTcpContext(uint32) types.TcpContext {
	if ctx.tcp == nil {
		return nil
	}
	return ctx.tcp(ctx)
}

// No behaviour can go on without what it has asked for.
func must(err error) {
	if err != nil {
		proxywasm.LogCriticalf("failed: %v", err)
		panic(err)
	}
}
