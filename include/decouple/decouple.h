// All of the core. A user of queues alone includes <decouple/standard_queue.h>.

#ifndef DECOUPLE_DECOUPLE_H_
#define DECOUPLE_DECOUPLE_H_

#include "decouple/attributes.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/content_hash.h"
#include "decouple/delivery.h"
#include "decouple/delivery_policy.h"
#include "decouple/error.h"
#include "decouple/executor.h"
#include "decouple/fields.h"
#include "decouple/fifo_queue.h"
#include "decouple/fifo_topic.h"
#include "decouple/filter_expression.h"
#include "decouple/filter_policy.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/message_move_task.h"
#include "decouple/notification.h"
#include "decouple/platform_application.h"
#include "decouple/publication.h"
#include "decouple/publish_options.h"
#include "decouple/queue.h"
#include "decouple/queue_options.h"
#include "decouple/redrive.h"
#include "decouple/senders.h"
#include "decouple/standard_queue.h"
#include "decouple/statistics.h"
#include "decouple/subscription.h"
#include "decouple/topic.h"
#include "decouple/topic_options.h"
#include "decouple/topic_statistics.h"

#endif  // DECOUPLE_DECOUPLE_H_
