package main

import (
	"fmt"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const tickMs = 50

func ticking(*plugin) error {
	return proxywasm.SetTickPeriodMilliSeconds(tickMs)
}

func get(path string) [][2]string {
	return [][2]string{{":method", "GET"}, {":path", path}, {":authority", "web"}}
}

// Its argument is the path that it asks for.
func callOnTick(ctx *plugin) {
	must(call(get(ctx.arguments[0]), func(headers, _, _ int) {
		ctx.calls++
		proxywasm.LogInfof("called %d for contextID=%d", ctx.calls, ctx.id)
		fields, err := proxywasm.GetHttpCallResponseHeaders()
		must(err)
		for _, field := range fields {
			proxywasm.LogInfof("%s: %s", field[0], field[1])
		}
	}))
}

func call(headers [][2]string, then func(headers, body, trailers int)) error {
	_, err := proxywasm.DispatchHttpCall("web", headers, nil, nil, 5000, then)
	return err
}

func compressOnTick(ctx *plugin) {
	_, err := proxywasm.CallForeignFunction("compress", []byte("hello world!"))
	must(err)
	ctx.calls++
	proxywasm.LogInfof("foreign function (compress) called: %d", ctx.calls)
}

func greet(ctx *plugin) error {
	proxywasm.LogInfo("OnPluginStart from Go!")
	return ticking(ctx)
}

func tellTime(*plugin) {
	proxywasm.LogInfof("It's %d", time.Now().UnixNano())
}

func resumeOne(ctx *plugin) {
	if len(ctx.waiting) == 0 {
		return
	}
	id := ctx.waiting[0]
	ctx.waiting = ctx.waiting[1:]
	must(proxywasm.SetEffectiveContext(id))
	proxywasm.LogInfof("resume request with contextID=%d", id)
	must(proxywasm.ResumeHttpRequest())
}

// Its arguments are the VM of who owns them, and their names.
func openQueues(ctx *plugin) error {
	for _, name := range ctx.arguments[1:] {
		id, err := proxywasm.ResolveSharedQueue(ctx.arguments[0], name)
		if err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
		ctx.queues[name] = id
	}
	return nil
}

// Its argument is the queue's name.
func ownQueue(ctx *plugin) error {
	id, err := proxywasm.RegisterSharedQueue(ctx.arguments[0])
	ctx.queues[ctx.arguments[0]] = id
	return err
}

func receive(ctx *plugin, id uint32) {
	data, err := proxywasm.DequeueSharedQueue(id)
	if err == types.ErrorStatusEmpty {
		return
	}
	must(err)
	proxywasm.LogInfof("dequeued data from %s: %s", ctx.arguments[0], data)
}
