"""Set-up, appliance builder and packages: nothing here is part of the running program."""
