"""All rules for guests, in the order in which their reasons are shown. One for each limit, declared once."""

from typing import Final

from client.throttle.rules_power import POWER
from client.throttle.rules_room import ROOM
from client.throttle.rules_user import USER

GUESTS: Final = (*POWER, *USER, *ROOM)
