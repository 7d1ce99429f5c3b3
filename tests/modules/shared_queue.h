// What the host and its plugins agree on: a type of bodies, and what a plugin can be asked to do.

#ifndef DECOUPLE_TESTS_MODULES_SHARED_QUEUE_H_
#define DECOUPLE_TESTS_MODULES_SHARED_QUEUE_H_

#include <string>

struct Letter {
  int number = 0;
  std::string text;
};

// A queue of letters goes from module to module by its address, as `void*`: the loader of plugins does not know the
// library.
struct Plugin {
  void* (*make_queue)();
  void (*destroy_queue)(void* queue);
  // Sends in turn to `queue` and to a queue of the plugin's own, on one thread. False: a message is not where it
  // belongs.
  bool (*alternate)(void* queue, int messages);
  void (*send)(void* queue, int messages);
  // Receives and deletes until `queue` has been empty for some seconds, or `most` have come. Returns how many have.
  int (*drain)(void* queue, int most);
  // Address of what is one in the process for all modules.
  void* (*process)();
  // Whether the record that the plugin has for the calling thread is one of those of its process().
  bool (*has_record)();
};

#endif  // DECOUPLE_TESTS_MODULES_SHARED_QUEUE_H_
