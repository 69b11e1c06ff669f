# The template reader stands on libyaml; AllowedPattern is a regular expression.
set(extra yaml pcre2)
