-- Load of wrk for "lane rules", as bench/support/lane-rules.ts says: ten headers that rules look at.
-- One request in twenty enters a lane. There are more users than values are remembered of a header.
-- With the argument "alike" users are named as those that rules name.

local requests = {}
local at = 0

function init(args)
  local isAlike = args[1] == "alike"
  for i = 0, 4999 do
    local fields = { ["Host"] = "localhost" }
    for key = 0, 7 do
      local user = isAlike and "user-" .. 1000 + i or "somebody-" .. i
      fields["x-key-" .. key] = user .. "-" .. key
    end
    fields["x-key-8"] = "2." .. i % 30 .. ".0"
    fields["x-key-9"] = "region-" .. i % 8
    if i % 20 == 0 then fields["x-key-0"] = "user-500-0" end
    requests[i + 1] = wrk.format("GET", "/", fields)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
