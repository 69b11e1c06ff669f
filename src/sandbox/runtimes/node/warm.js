// The function that bootstrap.js loads and calls before there is one; warmed.mjs is the same as a module.
'use strict';

exports.handler = async (event, context) => context.getRemainingTimeInMillis() && event;
