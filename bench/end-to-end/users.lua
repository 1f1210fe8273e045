-- Load of wrk: the same users over and over, each request made once before the run.
-- One in twenty is the user whom a route names.

local users = { "bob", "stacy", "jessie", "vance", "jack" }
for i = 1, 95 do users[#users + 1] = "user-" .. i end

local requests = {}
local at = 0

function init()
  for i, user in ipairs(users) do
    local name = i % 20 == 0 and "jason" or user
    requests[i] = wrk.format("GET", "/", { ["x-user-id"] = name, ["Host"] = "localhost" })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
