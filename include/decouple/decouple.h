// All of the core. A user of queues alone includes <decouple/standard_queue.h>.

#ifndef DECOUPLE_DECOUPLE_H_
#define DECOUPLE_DECOUPLE_H_

#include "decouple/attributes.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/content_hash.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/fifo_queue.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/message_move_task.h"
#include "decouple/queue.h"
#include "decouple/queue_options.h"
#include "decouple/redrive.h"
#include "decouple/standard_queue.h"
#include "decouple/statistics.h"

#endif  // DECOUPLE_DECOUPLE_H_
