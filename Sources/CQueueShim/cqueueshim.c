#include "cqueueshim.h"
