"""Windows. Written from its documentation and tested against values made after it; it was not run there."""
