// The mock response plug-in of Higress' demonstration, on Higress' own SDK: the rules by route,
// domain and service are matched by the SDK inside the plug-in.
package main

import (
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/log"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

func main() {}

func init() {
	wrapper.SetCtx(
		"mock-response",
		wrapper.ParseConfig(parseConfig),
		wrapper.ProcessRequestHeaders(onHttpRequestHeaders),
	)
}

type MyConfig struct {
	body []byte
}

func parseConfig(json gjson.Result, config *MyConfig) error {
	config.body = []byte(json.Get("body").String())
	log.Infof("a configuration with the body %q", config.body)
	return nil
}

func onHttpRequestHeaders(ctx wrapper.HttpContext, config MyConfig) types.Action {
	_ = proxywasm.SendHttpResponse(200, [][2]string{{"x-version", version}}, config.body, -1)
	return types.ActionContinue
}
