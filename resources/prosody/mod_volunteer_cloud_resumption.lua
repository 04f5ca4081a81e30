-- Takes the place of a slip in prosody 0.12.3: a session that is taken up on another connection (XEP-0198) went on
-- feeding the parser of the connection before. Whenever that was cut in the middle of a stanza, the first one on the new
-- connection was "not well-formed", and the session ended. mod_c2s keeps the parser in session.data, out of
-- mod_smacks's reach but for this.
module:hook("smacks-hibernation-end", function (event)
	event.resumed.data = event.origin.data;
end);
