// The plugin with the parser of JSON.

#include "decouple/json/filter_policy.h"
#include "plugin.cc"
