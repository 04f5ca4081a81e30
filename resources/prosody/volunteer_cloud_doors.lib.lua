-- What accounts that this server neither makes nor changes have in common, and how their stanzas are held back.
local st = require "util.stanza";

local lib = {};

-- An authentication provider without its SASL handler. password_of(username): its password, or nil.
function lib.provider(password_of)
	local provider = {};

	function provider.get_password(username)
		return password_of(username);
	end

	function provider.test_password(username, password)
		local right = password_of(username);
		if right and right == password then
			return true;
		end
		return nil, "Auth failed. Invalid username or password.";
	end

	function provider.user_exists(username)
		return password_of(username) ~= nil;
	end

	function provider.set_password()
		return nil, "Passwords cannot be set here.";
	end

	function provider.create_user()
		return nil, "Accounts cannot be made here.";
	end

	function provider.delete_user()
		return nil, "Accounts cannot be removed here.";
	end

	return provider;
end

-- Looks at every stanza of some clients before it goes anywhere.
--   is_held(session)             whether the client is one of them
--   over(session)                why its session has to end now, or nil
--   is_allowed(session, stanza)  whether the stanza may go on
function lib.guard(is_held, over, is_allowed)
	local function guard(event)
		local session, stanza = event.origin, event.stanza;
		if session.type ~= "c2s" or not session.username or not is_held(session) then
			return nil;
		end
		local why = over(session);
		if why then
			session:close({ condition = "not-authorized", text = why });
			return true;
		end
		if is_allowed(session, stanza) then
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
end

return lib;
