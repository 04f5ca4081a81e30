-- Guests are untrusted and know nobody but the managers: whatever a guest sends to anybody else is refused, and its
-- session ends when its account does.
local jid_bare = require "util.jid".bare;
local jid_split = require "util.jid".split;
local st = require "util.stanza";

local accounts = module:get_option("volunteer_cloud_accounts", {});

local function is_guest(session)
	return session.type == "c2s" and session.username and not accounts[session.username];
end

local function expires_at(session)
	return tonumber((session.username:match("^agent%-(%d+)%-"))) or 0;
end

local function is_allowed(session, to)
	if not to or jid_bare(to) == session.username .. "@" .. session.host or to == session.host then
		return true;
	end
	local username, to_host = jid_split(to);
	return to_host == session.host and username and accounts[username] ~= nil;
end

local function guard(event)
	local session, stanza = event.origin, event.stanza;
	if not is_guest(session) then
		return nil;
	end
	if expires_at(session) <= os.time() then
		session:close({ condition = "not-authorized", text = "the account has expired" });
		return true;
	end
	if is_allowed(session, stanza.attr.to) then
		return nil;
	end
	if stanza.attr.type ~= "error" then
		session.send(st.error_reply(stanza, "auth", "forbidden"));
	end
	return true;
end

for _, kind in ipairs { "message", "iq", "presence" } do
	for _, form in ipairs { "full", "bare", "host" } do
		module:hook("pre-" .. kind .. "/" .. form, guard, 1000);
	end
end
