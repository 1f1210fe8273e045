package main

import (
	"fmt"
	"hash/fnv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

type logged struct {
	types.DefaultTcpContext
}

func logBytes(*plugin) types.TcpContext {
	return &logged{}
}

func (*logged) OnNewConnection() types.Action {
	proxywasm.LogInfo("new connection!")
	return types.ActionContinue
}

func (*logged) OnDownstreamData(size int, _ bool) types.Action {
	if size > 0 {
		data, err := proxywasm.GetDownstreamData(0, size)
		must(err)
		proxywasm.LogInfof("downstream data received: %s", data)
	}
	return types.ActionContinue
}

func (*logged) OnUpstreamData(size int, _ bool) types.Action {
	if size == 0 {
		return types.ActionContinue
	}
	address, err := proxywasm.GetProperty([]string{"upstream", "address"})
	must(err)
	proxywasm.LogInfof("remote address: %s", address)
	path := []string{"xds", "cluster_metadata", "filter_metadata", "location"}
	place, err := proxywasm.GetPropertyMap(path)
	must(err)
	for _, pair := range place {
		proxywasm.LogInfof("upstream cluster metadata location[%s]=%s", pair[0], pair[1])
	}
	data, err := proxywasm.GetUpstreamData(0, size)
	must(err)
	proxywasm.LogInfof("upstream data received: %s", data)
	return types.ActionContinue
}

func (*logged) OnDownstreamClose(types.PeerType) {
	proxywasm.LogInfo("downstream connection close!")
}

func (*logged) OnStreamDone() {
	proxywasm.LogInfo("connection complete!")
}

type hashed struct {
	types.DefaultTcpContext
	queue uint32
}

func sendHash(ctx *plugin) types.TcpContext {
	return &hashed{queue: ctx.queues["tcp_data_hashes"]}
}

func (ctx *hashed) OnUpstreamData(size int, _ bool) types.Action {
	if size > 0 {
		data, err := proxywasm.GetUpstreamData(0, size)
		must(err)
		hash := fnv.New64a()
		_, _ = hash.Write(data)
		must(proxywasm.EnqueueSharedQueue(ctx.queue, []byte(fmt.Sprint(hash.Sum64()))))
	}
	return types.ActionContinue
}
