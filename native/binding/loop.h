// What the event loop and wait event sets have in common.
#pragma once

namespace bgw {

// Something became readable that asynchronous waits are to look at, once the loop is through with its poll.
void LoopHasNews();
// A wait begins. JavaScript may run when the loop has announced its sleep already, where a prepare handle of somebody else's calls it: then the loop
// must not sleep on the strength of a look that is out of date.
void LoopLookAgain();

}  // namespace bgw
