/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fast path as a model for SPIN: what the program in the kernel reads and writes of a flow's place, one access at a time, beside
 * an agent that opens flows, ends them, gives their places to others, reloads its policy, and dies. Of a sequence number there is one
 * bound. Two flows share one place, so that it is used again whenever it may be; two processors run the program.
 *
 * What must hold is written as assertions:
 *   OTHER    no packet is held against the state of another flow, nor moves its bound;
 *   POLICY   no packet that came after a reload passes by what was decided before it;
 *   SIDE     nor one of a side that was not opened since;
 *   BOUND    what the agent judges of a flow, it judges by everything that passed before it came to the queue;
 *   LEASE    nothing passes after the lease of a dead agent;
 *   KIND     nothing passes without being held against a bound but by the last decision about its flow's side.
 *
 * Tests/Model/run also checks that each of the defects below, put in with -D, breaks one of them: a model that nothing breaks
 * shows nothing.
 */

#ifndef FLOWS
#define FLOWS 2
#endif
#ifndef SIDES
#define SIDES 1
#endif
#ifndef PACKETS
#define PACKETS 1
#endif
#ifndef QUEUE
#define QUEUE 1
#endif
#ifndef DEATH
#define DEATH 0
#endif
#ifndef EPOCHS
#define EPOCHS 1
#endif
#ifndef GENERATIONS
#define GENERATIONS 3
#endif

#ifndef KINDS
#define KINDS 0
#endif
/* Whether the policy of an epoch has a Bypass rule with `offload`: its flows are held against no bound, and move none. */
#define IS_BYPASS(e) (KINDS && (e) % 2 == 1)

typedef Flow {       /* as the agent knows it */
    bool isOpen;     /* has the place, and is not ended */
    bool holds;      /* reads the place still */
    byte bound;      /* the tracker's */
    byte passed;     /* ghost: the highest number that has passed */
    byte sent;
    byte decided[2]; /* ghost: the epoch in which each side was opened last */
}
Flow flows[FLOWS];

/* The hash of the kernel: the generation of the place to which a flow's key leads; 0: none. */
byte leads[FLOWS];

/* The place (struct fastpath_flow). */
byte generation, placeEpoch, placeBound;
bool isOpen[2], isBypassed;
byte owner = FLOWS;  /* ghost: whose state it is; FLOWS: nobody's */

/* The cell (struct fastpath_cell). */
byte epoch = 1;
bool lease = true;
bool isDead = false;

byte latest = 0;     /* the agent's counter of generations */
byte inHand = 0;     /* ghost: runs of the program under way */
bool mayReuse = true;

chan queue = [2] of { byte, byte, byte, byte };  /* flow, side, number, what had passed of the flow before */

/* A packet: the rule before the queue's, then the queue. */
proctype Processor(byte packets) {
    byte f, s, n, g, e, startEpoch, before;
    bool lived;
    do
    :: atomic {
           if :: f = 0 :: FLOWS > 1 -> f = FLOWS - 1 fi;
           if :: s = 0 :: SIDES > 1 -> s = 1 fi;
           if
           :: packets > 0 -> packets--; flows[f].sent++; n = flows[f].sent
           :: else -> goto done
           fi;
           before = flows[f].passed; startEpoch = epoch; lived = lease; inHand++
       }
       g = leads[f];
       if :: g == 0 -> goto onward :: else fi;
       if :: generation != g -> goto onward :: else fi;
       e = epoch;
       if :: e != placeEpoch -> goto onward :: else fi;
#ifndef NO_LEASE
       if :: !lease -> goto onward :: else fi;
#endif
       if :: !isOpen[s] -> goto onward :: else fi;
       atomic {
           assert(owner == f);                        /* OTHER */
           assert(lived);                             /* LEASE */
           assert(flows[f].decided[s] >= startEpoch); /* POLICY, SIDE */
           if
           :: isBypassed ->
              assert(IS_BYPASS(flows[f].decided[s])); /* KIND */
              inHand--;
              goto next
           :: n > placeBound && !isBypassed -> placeBound = n
           :: else
           fi
       }
       atomic {
           if :: n > flows[f].passed -> flows[f].passed = n :: else fi;
           inHand--
       }
       goto next;
onward:
       atomic { inHand-- };
       if
       :: QUEUE > 0 -> if :: queue!f, s, n, before :: isDead fi
       :: else
       fi;
next:  skip
    od;
done: skip
}

inline takeUp(f) {
    if
    :: flows[f].holds && placeBound > flows[f].bound -> flows[f].bound = placeBound
    :: else
    fi
}

inline endFlow(f) {
    generation = 0;
    flows[f].isOpen = false;
#ifdef NO_QUARANTINE
    mayReuse = true
#else
    mayReuse = (inHand == 0)
#endif
}

/* The place goes to flow f: whoever held it, be it f, reads it a last time. */
inline begin(f) {
#ifndef NO_LAST_LOOK
    if
    :: owner < FLOWS -> takeUp(owner); flows[owner].holds = false
    :: else
    fi;
#endif
    d_step {
        placeBound = flows[f].bound;
        isOpen[0] = false; isOpen[1] = false;
        placeEpoch = epoch;
        isBypassed = IS_BYPASS(epoch);
        owner = f; flows[f].holds = true; flows[f].decided[0] = 0; flows[f].decided[1] = 0
    };
#ifdef SAME_GENERATION
    if :: latest == 0 -> latest = 1 :: else fi;
#else
    latest++;
#endif
    generation = latest;
    flows[f].isOpen = true;
    leads[f] = latest
}

inline openSide(f, s) {
#ifdef EPOCH_FIRST
    atomic { if :: placeEpoch != epoch -> flows[f].decided[s] = epoch; placeEpoch = epoch :: else fi };
    isOpen[1 - s] = (flows[f].decided[1 - s] == epoch);
#else
    if
    :: placeEpoch != epoch -> isOpen[0] = false; isOpen[1] = false; placeEpoch = epoch
    :: else
    fi;
#endif
    atomic { flows[f].decided[s] = epoch; isOpen[s] = true }
#ifdef KIND_IN_PLACE
    isBypassed = IS_BYPASS(epoch)
#endif
}

active proctype Agent() {
    byte f, s, n, before;
    run Processor(PACKETS); run Processor(1);
    do
    /* A packet from the queue: what has passed is taken up first, and what it teaches is written where the kernel looks. */
    :: queue?f, s, n, before ->
#ifndef NO_TAKE_UP
       takeUp(f);
#endif
       assert(flows[f].bound >= before);              /* BOUND */
       if :: n > flows[f].bound -> flows[f].bound = n :: else fi;
       if
       :: flows[f].isOpen ->
#ifdef PLAIN_STORE
          if :: placeBound < flows[f].bound -> placeBound = flows[f].bound :: else fi
#else
          d_step { if :: placeBound < flows[f].bound -> placeBound = flows[f].bound :: else fi }
#endif
       :: else
       fi;
       f = 0; s = 0; n = 0; before = 0
    /* What it has judged may open a side: any, at any time. */
    :: atomic {
           if :: f = 0 :: FLOWS > 1 -> f = FLOWS - 1 fi;
           if :: s = 0 :: SIDES > 1 -> s = 1 fi;
           if
           :: flows[f].isOpen || (generation == 0 && mayReuse && latest < GENERATIONS) -> skip
           :: else -> goto next
           fi
       };
#ifndef KIND_IN_PLACE
       /* A flow that is bypassed from now on, or no more, leaves its place: no place has both. */
       if
       :: flows[f].isOpen && isBypassed != IS_BYPASS(epoch) -> endFlow(f); goto next
       :: else
       fi;
#endif
       if
       :: flows[f].isOpen
       :: else -> begin(f)
       fi;
       openSide(f, s);
next:  f = 0; s = 0
    /* A flow ends; its key stays in the hash for a while. */
    :: flows[0].isOpen -> endFlow(0)
    :: FLOWS > 1 && flows[FLOWS - 1].isOpen -> endFlow(FLOWS - 1)
    :: leads[0] != 0 && !flows[0].isOpen -> leads[0] = 0
    :: FLOWS > 1 && leads[FLOWS - 1] != 0 && !flows[FLOWS - 1].isOpen -> leads[FLOWS - 1] = 0
    /* Two seconds later nobody has anything in hand of before. */
    :: !mayReuse && inHand == 0 -> mayReuse = true
    /* One store sends every flow back to be judged again. */
    :: epoch < EPOCHS ->
#ifdef NO_EPOCH
       skip; break
#else
       epoch++
#endif
    /* Killed: nobody renews the lease. */
    :: DEATH > 0 -> atomic { isDead = true; lease = false }; break
    od
}
