-- What each user of benchmarks/load.py asks for. wrk tells its scripts nothing about connections, but gives each thread
-- a script of its own: a thread with one connection is one user, with one request under way at a time.
--
-- Arguments: a folder with a file for each user ("1", "2", …), and the shortest and longest time to think in ms.
-- A user's file: the session's cookie, then in each line a kind of page, what its content type begins with, an address.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long sec; long nsec; } my_time;
  int clock_gettime(int clock, my_time *now);
]]
local MONOTONIC = 1
local time = ffi.new("my_time")

local function microseconds()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.sec) * 1e6 + tonumber(time.nsec) / 1e3
end

local threads = {}
local cookie, pages, at = nil, {}, 0
local checked, asked = false, nil

-- Read by done(), which runs in another script than the users'.
results, lost, waiting = {}, 0, 0

function setup(thread)
  table.insert(threads, thread)
  thread:set("user", #threads)
end

function init(arguments)
  local shortest, longest = tonumber(arguments[2]), tonumber(arguments[3])
  math.randomseed(user)
  if longest > 0 then
    local begun = false
    -- wrk waits between requests as soon as there is this function. The first page is asked for at any time, so that not
    -- everybody begins at once.
    function delay()
      local from = begun and shortest or 0
      begun = true
      return math.random(from, longest)
    end
  end
  local file = assert(io.open(arguments[1] .. "/" .. user))
  cookie = file:read("*l")
  for line in file:lines() do
    local kind, content, path = line:match("^(%S+) (%S+) (%S+)$")
    table.insert(pages, { kind, content, wrk.format("GET", path, { ["Cookie"] = cookie, ["Accept-Encoding"] = "gzip" }) })
  end
  file:close()
end

function request()
  -- Before it begins, wrk has the first user make a request that it does not send.
  if user == 1 and not checked then
    checked = true
    return pages[1][3]
  end
  -- An answer that never came: the connection was closed.
  if waiting > 0 then lost = lost + 1 end
  at = at % #pages + 1
  asked = pages[at]
  waiting = microseconds()
  return asked[3]
end

function response(status, headers)
  local content = headers["Content-Type"] or ""
  local good = status == 200 and content:sub(1, #asked[2]) == asked[2]
  table.insert(results, asked[1] .. " " .. (good and 1 or 0) .. " " .. math.floor(microseconds() - waiting))
  waiting = 0
end

-- For each user: "user LOST WAITING", the second in microseconds, then a line for each answer.
function done()
  local now = microseconds()
  for _, thread in ipairs(threads) do
    local since = thread:get("waiting")
    print("user " .. thread:get("lost") .. " " .. (since > 0 and math.floor(now - since) or 0))
    for _, line in ipairs(thread:get("results")) do print(line) end
  end
end
