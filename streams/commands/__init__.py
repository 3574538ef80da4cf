"""One module for each sub-command of `fanfare`, imported when it is called."""
