-- Load of wrk for "routes": ten paths in turn.

local requests = {}
local at = 0

function init()
  for i = 0, 9 do
    requests[i + 1] = wrk.format("GET", "/path-" .. i, { ["Host"] = "localhost" })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
