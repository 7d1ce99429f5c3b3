// expect: is private within this context|is a private member
#include "decouple/message.h"

auto ticket(const decouple::ReceiptHandle& receipt) { return receipt.ticket_; }
