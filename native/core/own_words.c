// Where the words of own_words.h are. A process that knows of no parent-death signal has to look.
#include "own_words.h"

BgwOwnWords bgw_own_words = {.look_for_death = 1};
