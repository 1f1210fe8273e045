-- Load of wrk for "bodies": small JSON.

local body = '{"user":{"id":"4711"},"items":["a","b","c"],"note":"x"}'
local text

function init()
  local fields = { ["Host"] = "localhost", ["Content-Type"] = "application/json" }
  text = wrk.format("POST", "/", fields, body)
end

function request()
  return text
end
