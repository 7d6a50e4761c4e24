-- Token buckets in Redis, by the rules of `bucket.py`, and counts of an hour. One call is one act.
-- KEYS: a hash for each bucket. ARGV[1]: take, back, slow or count. ARGV[2]: the time in seconds, else the
-- server's own. The rest as each part below reads it.
-- Fields: at, tokens, bulk (tokens), limit, usual, slowed (at), shut (until), urgent (until), grows (after),
-- second, hits, before.
local BULK, KEPT, STEP, LEAST, FIRST = 0.8, 900, 0.1, 0.2, 1
local clock = redis.call('TIME')
local now = tonumber(ARGV[2]) or tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local FIELDS = {'at', 'tokens', 'bulk', 'limit', 'usual', 'slowed', 'shut', 'urgent', 'grows', 'second', 'hits', 'before'}

local function load(key, rate)
  local found = redis.call('HMGET', key, unpack(FIELDS))
  local bucket = {}
  for place, name in ipairs(FIELDS) do bucket[name] = tonumber(found[place] or '') or 0 end
  if not found[1] then
    bucket.at, bucket.tokens, bucket.bulk = now, math.max(rate, 1), math.max(rate * BULK, 1)
    bucket.grows = 10
  end
  return bucket
end

local function save(key, bucket)
  local values = {}
  for _, name in ipairs(FIELDS) do
    values[#values + 1] = name
    values[#values + 1] = string.format('%.6f', bucket[name])
  end
  redis.call('HSET', key, unpack(values))
  redis.call('EXPIRE', key, math.ceil(KEPT + math.max(bucket.shut - now, 0)))
end

local function rate_of(bucket, usual)
  if bucket.limit == 0 then return usual end
  local grown = bucket.limit + STEP * bucket.usual * math.max(now - bucket.slowed, 0) / bucket.grows
  if usual > 0 then return math.min(grown, usual) end
  return grown
end

local function refill(bucket, rate)
  local passed = math.max(now - bucket.at, 0)
  if rate > 0 then
    bucket.tokens = math.min(bucket.tokens + passed * rate, math.max(rate, 1))
    bucket.bulk = math.min(bucket.bulk + passed * rate * BULK, math.max(rate * BULK, 1))
  end
  bucket.at = math.max(now, bucket.at)
  local whole = math.floor(now)
  if whole ~= bucket.second then
    bucket.before = whole == bucket.second + 1 and bucket.hits or 0
    bucket.hits, bucket.second = 0, whole
  end
end

local function lack(tokens, cost, promised, rate)
  local missing = math.min(cost, math.max(rate, 1)) + promised - tokens
  return missing > 1e-9 and missing or 0
end

local function wait_for(bucket, rate, cost, bulk, promised)
  local shut = math.max(bucket.shut - now, 0)
  if bulk then shut = math.max(shut, bucket.urgent - now) end
  if rate == 0 then return shut end
  local filling = lack(bucket.tokens, cost, promised, rate) / rate
  if bulk then
    filling = math.max(filling, lack(bucket.bulk, cost, promised, rate * BULK) / (rate * BULK))
  end
  return shut + filling
end

local function spend(bucket, rate, cost, bulk)
  if rate > 0 then
    bucket.tokens = bucket.tokens - cost
    if bulk then bucket.bulk = bucket.bulk - cost end
  end
  bucket.hits = math.max(bucket.hits + cost, 0)
end

-- ARGV[3]: a usual rate for each bucket; then for each ask its cost, 1 if it is bulk, how many buckets, and which.
-- All in one text, for hundreds of arguments cost the caller more than the asking.
local function read_words()
  local words = {}
  for word in string.gmatch(ARGV[3], '%S+') do words[#words + 1] = tonumber(word) end
  return words
end

local function read_asks(words, place)
  local asks = {}
  while place <= #words do
    local ask = {cost = words[place], bulk = words[place + 1] == 1, of = {}}
    local many = words[place + 2]
    for number = 1, many do ask.of[number] = words[place + 2 + number] end
    asks[#asks + 1] = ask
    place = place + 3 + many
  end
  return asks
end

if ARGV[1] == 'take' or ARGV[1] == 'back' then
  local buckets, rates, promised, waits, words, all_go = {}, {}, {}, {}, read_words(), true
  for place, key in ipairs(KEYS) do
    local usual = words[place]
    buckets[place] = load(key, usual)
    rates[place] = rate_of(buckets[place], usual)
    refill(buckets[place], rates[place])
    promised[place] = 0
  end
  for _, ask in ipairs(read_asks(words, 1 + #KEYS)) do
    local wait, slowest, slow = 0, 0, {}
    if ARGV[1] == 'back' then
      for _, place in ipairs(ask.of) do spend(buckets[place], rates[place], -ask.cost, ask.bulk) end
    else
      for _, place in ipairs(ask.of) do
        local needs = wait_for(buckets[place], rates[place], ask.cost, ask.bulk, promised[place])
        if needs > 0 then slow[#slow + 1] = place end
        if needs > wait then wait, slowest = needs, place end
      end
      for _, place in ipairs(slow) do
        promised[place] = promised[place] + ask.cost
        if not ask.bulk then
          buckets[place].urgent = math.max(buckets[place].urgent, now + math.min(wait, FIRST))
        end
      end
      if wait == 0 then
        for _, place in ipairs(ask.of) do spend(buckets[place], rates[place], ask.cost, ask.bulk) end
      end
    end
    all_go = all_go and wait == 0
    waits[#waits + 1] = string.format('%.6f', wait)
    waits[#waits + 1] = slowest
  end
  local is_free = all_go
  for place, key in ipairs(KEYS) do
    save(key, buckets[place])
    is_free = is_free and rates[place] == 0
  end
  -- Short words for what is nearly always so: all may go, and no bucket has a limit, or some have.
  return is_free and {} or all_go and {'go'} or waits
end

-- ARGV: the usual rate, seconds in which nothing is given, the factor of all waits.
if ARGV[1] == 'slow' then
  local usual, after, factor = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local bucket = load(KEYS[1], usual)
  local rate = rate_of(bucket, usual)
  refill(bucket, rate)
  bucket.shut = math.max(bucket.shut, now + after)
  if bucket.limit == 0 or now - bucket.slowed >= factor then
    local measured = math.max((bucket.hits + bucket.before) / (1 + now - bucket.second), 1)
    if rate == 0 then rate = measured end
    if usual > 0 then bucket.usual = usual elseif bucket.usual == 0 then bucket.usual = measured end
    bucket.limit = math.max(rate / 2, math.min(LEAST, bucket.usual))
    bucket.grows = 10 * factor
    bucket.slowed = math.max(now, bucket.shut)
    bucket.at, bucket.tokens, bucket.bulk = bucket.slowed, 0, 0
  end
  save(KEYS[1], bucket)
  return '0'
end

-- ARGV: the most, seconds, where to begin ('' for nowhere). A count, -1 where none stands, -2 where it is full.
if ARGV[1] == 'count' then
  local number = tonumber(redis.call('GET', KEYS[1]) or ARGV[5])
  if not number then return -1 end
  if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('SET', KEYS[1], string.format('%d', number), 'PX', math.ceil(tonumber(ARGV[4]) * 1000))
  end
  if number >= tonumber(ARGV[3]) then return -2 end
  return redis.call('INCR', KEYS[1])
end
return redis.error_reply('nothing is called ' .. tostring(ARGV[1]))
