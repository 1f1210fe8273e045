package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// A stream, by what its callbacks do.
type stream struct {
	types.DefaultHttpContext
	request      func(isEnd bool) types.Action
	requestBody  func(size int, isEnd bool) types.Action
	response     func() types.Action
	responseBody func(size int, isEnd bool) types.Action
	size         int
}

func (ctx *stream) OnHttpRequestHeaders(_ int, isEnd bool) types.Action {
	if ctx.request == nil {
		return types.ActionContinue
	}
	return ctx.request(isEnd)
}

func (ctx *stream) OnHttpRequestBody(size int, isEnd bool) types.Action {
	if ctx.requestBody == nil {
		return types.ActionContinue
	}
	return ctx.requestBody(size, isEnd)
}

func (ctx *stream) OnHttpResponseHeaders(int, bool) types.Action {
	if ctx.response == nil {
		return types.ActionContinue
	}
	return ctx.response()
}

func (ctx *stream) OnHttpResponseBody(size int, isEnd bool) types.Action {
	if ctx.responseBody == nil {
		return types.ActionContinue
	}
	return ctx.responseBody(size, isEnd)
}

func sendHeaders(ctx *plugin, _ uint32) types.HttpContext {
	send := func(queue string, fields [][2]string, err error) types.Action {
		must(err)
		for _, field := range fields {
			text := fmt.Sprintf(`{"key": "%s","value": "%s"}`, field[0], field[1])
			must(proxywasm.EnqueueSharedQueue(ctx.queues[queue], []byte(text)))
			proxywasm.LogInfof("enqueued data: %s", text)
		}
		return types.ActionContinue
	}
	return &stream{
		request: func(bool) types.Action {
			fields, err := proxywasm.GetHttpRequestHeaders()
			return send("http_request_headers", fields, err)
		},
		response: func() types.Action {
			fields, err := proxywasm.GetHttpResponseHeaders()
			return send("http_response_headers", fields, err)
		},
	}
}

// Every second request is let through.
func authRandom(ctx *plugin, _ uint32) types.HttpContext {
	return &stream{request: func(bool) types.Action {
		must(call(get("/uuid"), func(int, int, int) {
			fields, err := proxywasm.GetHttpCallResponseHeaders()
			must(err)
			for _, field := range fields {
				proxywasm.LogInfof("response header from httpbin: %s: %s", field[0], field[1])
			}
			ctx.calls++
			if ctx.calls%2 == 0 {
				proxywasm.LogInfo("access granted")
				must(proxywasm.ResumeHttpRequest())
				return
			}
			proxywasm.LogInfo("access forbidden")
			must(proxywasm.SendHttpResponse(403, nil, []byte("access forbidden"), -1))
		}))
		return types.ActionPause
	}}
}

// `buffer-replace-at` says of which side, and `buffer-operation` how.
func editBody(*plugin, uint32) types.HttpContext {
	ctx := &stream{}
	side, operation := "", ""
	ctx.request = func(isEnd bool) types.Action {
		side, _ = proxywasm.GetHttpRequestHeader("buffer-replace-at")
		operation, _ = proxywasm.GetHttpRequestHeader("buffer-operation")
		must(proxywasm.RemoveHttpRequestHeader("content-length"))
		return types.ActionContinue
	}
	ctx.requestBody = func(size int, isEnd bool) types.Action {
		if side != "request" {
			return types.ActionContinue
		}
		if !isEnd {
			return types.ActionPause
		}
		body, err := proxywasm.GetHttpRequestBody(0, size)
		must(err)
		proxywasm.LogInfof("original request body: %s", body)
		switch operation {
		case "append":
			must(proxywasm.AppendHttpRequestBody([]byte("[this is appended body]")))
		case "prepend":
			must(proxywasm.PrependHttpRequestBody([]byte("[this is prepended body]")))
		default:
			must(proxywasm.ReplaceHttpRequestBody([]byte("[this is replaced body]")))
		}
		return types.ActionContinue
	}
	ctx.response = func() types.Action {
		must(proxywasm.RemoveHttpResponseHeader("content-length"))
		return types.ActionContinue
	}
	ctx.responseBody = func(size int, isEnd bool) types.Action {
		if side != "response" {
			return types.ActionContinue
		}
		if !isEnd {
			return types.ActionPause
		}
		body, err := proxywasm.GetHttpResponseBody(0, size)
		must(err)
		proxywasm.LogInfof("original response body: %s", body)
		switch operation {
		case "append":
			must(proxywasm.AppendHttpResponseBody([]byte("[this is appended body]")))
		case "prepend":
			must(proxywasm.PrependHttpResponseBody([]byte("[this is prepended body]")))
		default:
			must(proxywasm.ReplaceHttpResponseBody([]byte("[this is replaced body]")))
		}
		return types.ActionContinue
	}
	return ctx
}

func logHeaders(*plugin, uint32) types.HttpContext {
	return &stream{
		request: func(bool) types.Action {
			fields, err := proxywasm.GetHttpRequestHeaders()
			must(err)
			for _, field := range fields {
				proxywasm.LogInfof("request header --> %s: %s", field[0], field[1])
			}
			return types.ActionContinue
		},
		response: func() types.Action {
			must(proxywasm.AddHttpResponseHeader("x-proxy-wasm-go-sdk-example", "http_headers"))
			must(proxywasm.AddHttpResponseHeader("x-wasm-header", "demo-wasm"))
			fields, err := proxywasm.GetHttpResponseHeaders()
			must(err)
			for _, field := range fields {
				proxywasm.LogInfof("response header <-- %s: %s", field[0], field[1])
			}
			return types.ActionContinue
		},
	}
}

// Every second request goes to another host.
func routeInTurn(ctx *plugin, _ uint32) types.HttpContext {
	return &stream{request: func(bool) types.Action {
		ctx.calls++
		if ctx.calls%2 == 0 {
			must(proxywasm.ReplaceHttpRequestHeader(":authority", "canary"))
		}
		return types.ActionContinue
	}}
}

func validate(*plugin, uint32) types.HttpContext {
	refuse := func() types.Action {
		must(proxywasm.SendHttpResponse(403, nil, []byte("a JSON body with id and token is needed"), -1))
		return types.ActionPause
	}
	return &stream{
		request: func(isEnd bool) types.Action {
			kind, err := proxywasm.GetHttpRequestHeader("content-type")
			if err != nil || kind != "application/json" || isEnd {
				return refuse()
			}
			return types.ActionContinue
		},
		requestBody: func(size int, isEnd bool) types.Action {
			if !isEnd {
				return types.ActionPause
			}
			body, err := proxywasm.GetHttpRequestBody(0, size)
			must(err)
			var fields map[string]string
			if json.Unmarshal(body, &fields) != nil || fields["id"] == "" || fields["token"] == "" {
				return refuse()
			}
			return types.ActionContinue
		},
	}
}

func countValues(ctx *plugin, _ uint32) types.HttpContext {
	return &stream{request: func(bool) types.Action {
		value, err := proxywasm.GetHttpRequestHeader("my-custom-header")
		if err != nil {
			return types.ActionContinue
		}
		counter, ok := ctx.counters[value]
		if !ok {
			name := fmt.Sprintf("custom_header_value_counts_value=%s_reporter=wasmgosdk", value)
			counter = proxywasm.DefineCounterMetric(name)
			ctx.counters[value] = counter
		}
		counter.Increment(1)
		return types.ActionContinue
	}}
}

const callsOfResponse = 10

func callTenTimes(*plugin, uint32) types.HttpContext {
	return &stream{response: func() types.Action {
		pending := callsOfResponse
		for range callsOfResponse {
			must(call(get("/"), func(int, int, int) {
				pending--
				if pending > 0 {
					proxywasm.LogInfof("pending dispatched requests: %d", pending)
					return
				}
				proxywasm.LogInfof("response resumed after processed %d dispatched request", callsOfResponse)
				must(proxywasm.ResumeHttpResponse())
			}))
		}
		return types.ActionPause
	}}
}

func postpone(ctx *plugin, id uint32) types.HttpContext {
	return &stream{request: func(bool) types.Action {
		ctx.waiting = append(ctx.waiting, id)
		proxywasm.LogInfof("postpone request with contextID=%d", id)
		return types.ActionPause
	}}
}

// The route's metadata says which header a request must have.
func authByRoute(*plugin, uint32) types.HttpContext {
	return &stream{request: func(bool) types.Action {
		path := []string{"xds", "route_metadata", "filter_metadata", "envoy.filters.http.wasm", "auth"}
		auth, err := proxywasm.GetProperty(path)
		if err == types.ErrorStatusNotFound {
			proxywasm.LogInfo("no auth header for route")
			return types.ActionContinue
		}
		must(err)
		proxywasm.LogInfof("auth header is \"%s\"", auth)
		if _, err := proxywasm.GetHttpRequestHeader(string(auth)); err == nil {
			return types.ActionContinue
		}
		must(proxywasm.SendHttpResponse(401, nil, nil, 16))
		return types.ActionPause
	}}
}

func countShared(*plugin, uint32) types.HttpContext {
	return &stream{request: func(bool) types.Action {
		for {
			value, cas, err := proxywasm.GetSharedData("count")
			count := 0
			if err == nil {
				count, err = strconv.Atoi(string(value))
				must(err)
			}
			count++
			err = proxywasm.SetSharedData("count", []byte(strconv.Itoa(count)), cas)
			if err == types.ErrorStatusCasMismatch {
				continue
			}
			must(err)
			proxywasm.LogInfof("shared value: %d", count)
			return types.ActionContinue
		}
	}}
}
