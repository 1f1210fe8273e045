// What Higress' own plug-ins ask of their host, on Higress' SDK: a limit counted in Redis (as
// cluster-key-rate-limit), a response held piece by piece until Redis has answered (as
// ai-security-guard does with its service), and an upstream host of its own choice (as
// ai-load-balancer).
package main

import (
	"sort"
	"strconv"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
	"github.com/tidwall/resp"
)

func main() {}

func init() {
	wrapper.SetCtx(
		"higress-calls",
		wrapper.ParseConfig(parseConfig),
		wrapper.ProcessRequestHeaders(onHttpRequestHeaders),
		wrapper.ProcessResponseHeaders(onHttpResponseHeaders),
		wrapper.ProcessStreamingResponseBody(onHttpStreamingResponseBody),
	)
}

type Config struct {
	name    string
	limit   int
	streams bool
	pins    bool
	redis   wrapper.RedisClient
}

func parseConfig(json gjson.Result, config *Config) error {
	config.name = json.Get("name").String()
	config.limit = int(json.Get("limit").Int())
	config.streams = json.Get("streams").Bool()
	config.pins = json.Get("pins").Bool()
	service := json.Get("redis")
	if !service.Exists() {
		return nil
	}
	config.redis = wrapper.NewRedisClusterClient(wrapper.FQDNCluster{
		FQDN: service.Get("service_name").String(),
		Port: service.Get("service_port").Int(),
	})
	return config.redis.Init(
		service.Get("username").String(),
		service.Get("password").String(),
		service.Get("timeout").Int(),
		wrapper.WithDataBase(int(service.Get("database").Int())),
	)
}

func onHttpRequestHeaders(ctx wrapper.HttpContext, config Config) types.Action {
	_ = proxywasm.AddHttpRequestHeader("x-rule", config.name)
	if config.pins {
		pin()
	}
	if config.limit == 0 {
		return types.ActionContinue
	}
	err := config.redis.Incr("count:"+ctx.Path(), func(response resp.Value) {
		if response.Error() != nil {
			_ = proxywasm.SendHttpResponse(500, nil, []byte(response.Error().Error()), -1)
			return
		}
		if response.Integer() > config.limit {
			_ = proxywasm.SendHttpResponse(429, nil, []byte("too many"), -1)
			return
		}
		_ = proxywasm.AddHttpRequestHeader("x-count", strconv.Itoa(response.Integer()))
		_ = proxywasm.ResumeHttpRequest()
	})
	if err != nil {
		_ = proxywasm.SendHttpResponse(500, nil, []byte(err.Error()), -1)
	}
	return types.HeaderStopAllIterationAndWatermark
}

// The last of the hosts by its address.
func pin() {
	hosts, err := proxywasm.GetUpstreamHosts()
	if err != nil || len(hosts) == 0 {
		return
	}
	sort.Slice(hosts, func(i, j int) bool { return hosts[i][0] < hosts[j][0] })
	_ = proxywasm.SetUpstreamOverrideHost([]byte(hosts[len(hosts)-1][0]))
}

func onHttpResponseHeaders(ctx wrapper.HttpContext, config Config) types.Action {
	if config.streams {
		_ = proxywasm.RemoveHttpResponseHeader("content-length")
		ctx.NeedPauseStreamingResponse()
	}
	return types.ActionContinue
}

// Each piece waits for Redis; the pieces keep their order.
func onHttpStreamingResponseBody(ctx wrapper.HttpContext, config Config, data []byte, endOfStream bool) []byte {
	if !config.streams {
		return data
	}
	piece := append([]byte{}, data...)
	err := config.redis.Command([]interface{}{"ECHO", string(piece)}, func(response resp.Value) {
		_ = proxywasm.InjectEncodedDataToFilterChain([]byte("<"+response.String()+">"), endOfStream)
	})
	if err != nil {
		_ = proxywasm.InjectEncodedDataToFilterChain([]byte(err.Error()), true)
	}
	return nil
}
