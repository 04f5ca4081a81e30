-- Accounts that nobody stores: a guest's user name says until when it is good, its password is the name's HMAC under
-- the site's secret. The managers' accounts stand in the configuration.
--
--   authentication = "volunteer_cloud"
--   volunteer_cloud_secret = "..."                   shared with the key manager
--   volunteer_cloud_accounts = { jm = "password" }   the managers
--   volunteer_cloud_revoked = "/path/revoked.txt"    who is shut out; see volunteer_cloud.lib.lua
local hmac_sha256 = require "util.hashes".hmac_sha256;
local new_sasl = require "util.sasl".new;
local guests = module:require "volunteer_cloud";
local doors = module:require "volunteer_cloud_doors";

local host = module.host;
local secret = module:get_option_string("volunteer_cloud_secret");
local accounts = module:get_option("volunteer_cloud_accounts", {});

assert(secret and #secret >= 32, "volunteer_cloud_secret must have at least 32 characters");

local function is_good_guest(username)
	local expires_at = guests.guest(username);
	return expires_at ~= nil and expires_at > os.time() and not guests.is_revoked(username);
end

local function password_of(username)
	local password = accounts[username];
	if password then
		return password;
	end
	if is_good_guest(username) then
		return hmac_sha256(secret, username, true);
	end
	return nil;
end

local provider = doors.provider(password_of);

function provider.get_sasl_handler()
	return new_sasl(host, {
		plain = function (_, username)
			local password = password_of(username);
			if not password then
				return "", nil;
			end
			return password, true;
		end
	});
end

module:provides("auth", provider);
