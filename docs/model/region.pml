/*
 * Moving a region whose users write it in place (R5).
 *
 * The users of a region hold a handle and overwrite its blocks where they lie. So its move cannot compare one generation
 * once: each window of the handle counts the writes in it, windows that changed are copied again, after some rounds the
 * writers are held for one batch, and only then the mapping turns. A window is one block here.
 *
 * What must hold: what a handle's sync covered is found after a power cut, at the old place or the new one; a block is
 * torn only where a write that no sync covered was under way; and the copying ends.
 *
 * Values are numbers of writes; FOREIGN is what the next owner of the source wrote.
 */
#ifndef WINDOWS
#define WINDOWS 2
#endif
#ifndef WRITES
#define WRITES 2                /* of each window */
#endif
#ifndef ROUNDS
#define ROUNDS 2                /* of copying before the writers are held */
#endif
#define TORN    8
#define FOREIGN 9

byte old_kept[WINDOWS], old_now[WINDOWS];       /* the source */
byte new_kept[WINDOWS], new_now[WINDOWS];       /* the target */

/* the handle and its writers, one for each window */
#define IDLE  0
#define BEGUN 1                 /* its transfer is on its way to the place that it looked up */
#define WRITTEN 2               /* the transfer is done, the writer has not said so yet */
byte writer[WINDOWS]; bool to_new[WINDOWS];
byte generation[WINDOWS];
byte begun[WINDOWS], ended[WINDOWS], told[WINDOWS];

/* the move */
#define RESTS    0
#define COPIES   1
#define COMPARES 2
#define SYNCED   3
#define TURNED   4              /* the mapping has turned in memory, its batch is not written */
#define SENT     5              /* the batch is written */
#define STANDS   6              /* it is acknowledged */
#define REUSED   7
byte move, at, rounds; bool held, moved; byte seen[WINDOWS];
bool cut;

byte i; bool changed;

/* A write counts when it ends, and until then its window counts as changed. One that counted only when it began could
 * reach the source behind the copy, and still look like what had been copied. */
#ifdef BUG_COUNTED_AT_BEGIN
#define COUNT_AT_BEGIN(w) generation[w]++
#define COUNT_AT_END(w) skip
#else
#define COUNT_AT_BEGIN(w) skip
#define COUNT_AT_END(w) generation[w]++
#endif
#ifdef BUG_TRANSFER_UNDER_WAY_IGNORED
#define QUIET(w) true
#else
#define QUIET(w) (writer[w]==IDLE || to_new[w])
#endif

inline old_lands(k) { if :: old_kept[k]!=old_now[k] -> if :: old_kept[k]=old_now[k] :: old_kept[k]=TORN :: skip fi :: else fi }
inline new_lands(k) { if :: new_kept[k]!=new_now[k] -> if :: new_kept[k]=new_now[k] :: new_kept[k]=TORN :: skip fi :: else fi }

inline sync() { i=0; do :: i<WINDOWS -> old_kept[i]=old_now[i]; new_kept[i]=new_now[i]; i++ :: else -> break od; i=0 }

/* changed := whether a window is not as it was copied */
inline look_for_changes() {
  changed=0; i=0;
  do :: i<WINDOWS -> if :: generation[i]!=seen[i] || !QUIET(i) -> changed=1 :: else fi; i++ :: else -> break od; i=0
}

init {
end:
  do
  /* ---- writers ---- */
  :: atomic { !cut && writer[0]==IDLE && !held && begun[0]<WRITES ->
       begun[0]++; COUNT_AT_BEGIN(0); to_new[0]=moved; writer[0]=BEGUN }
  :: atomic { !cut && writer[0]==BEGUN ->
       if :: to_new[0] -> new_lands(0); new_now[0]=begun[0] :: else -> old_lands(0); old_now[0]=begun[0] fi; writer[0]=WRITTEN }
  :: atomic { !cut && writer[0]==WRITTEN -> ended[0]=begun[0]; COUNT_AT_END(0); to_new[0]=0; writer[0]=IDLE }
  :: atomic { !cut && writer[1]==IDLE && !held && begun[1]<WRITES ->
       begun[1]++; COUNT_AT_BEGIN(1); to_new[1]=moved; writer[1]=BEGUN }
  :: atomic { !cut && writer[1]==BEGUN ->
       if :: to_new[1] -> new_lands(1); new_now[1]=begun[1] :: else -> old_lands(1); old_now[1]=begun[1] fi; writer[1]=WRITTEN }
  :: atomic { !cut && writer[1]==WRITTEN -> ended[1]=begun[1]; COUNT_AT_END(1); to_new[1]=0; writer[1]=IDLE }

  /* ---- the handle's sync promises what has ended, and waits for the flip that it may have relied on ---- */
#ifdef BUG_SYNC_BEFORE_FLIP
  :: atomic { !cut && (ended[0]>told[0] || ended[1]>told[1]) ->
#else
  :: atomic { !cut && (ended[0]>told[0] || ended[1]>told[1]) && move!=TURNED ->
#endif
       sync(); told[0]=ended[0]; told[1]=ended[1]; if :: move==SENT -> move=STANDS; held=0 :: else fi }

  /* ---- the move: note what a window counts, copy it, and look again ---- */
  :: atomic { !cut && move==RESTS && !moved -> move=COPIES; at=0; rounds=1;
#ifndef BUG_NOTED_AFTER_COPYING
       seen[0]=generation[0]; seen[1]=generation[1]
#endif
       }
  :: atomic { !cut && move==COPIES && at<WINDOWS && (!held || writer[at]==IDLE) ->
       new_lands(at); new_now[at]=old_now[at]; at++ }
  :: atomic { !cut && move==COPIES && at==WINDOWS ->
#ifdef BUG_NOTED_AFTER_COPYING
       seen[0]=generation[0]; seen[1]=generation[1];
#endif
       at=0; move=COMPARES }
  :: atomic { !cut && move==COMPARES ->
       look_for_changes();
       if
       :: !changed ->
#ifndef BUG_COPY_NOT_SYNCED
          sync(); if :: ended[0]>=told[0] -> skip fi;
#endif
          move=SYNCED
#ifndef BUG_NEVER_HELD
       :: changed && rounds>=ROUNDS && !held -> held=1
       :: changed && (rounds<ROUNDS || (held && QUIET(0) && QUIET(1))) ->
#else
       :: changed ->
#endif
          rounds++; assert(rounds<=ROUNDS+1); move=COPIES; at=0;
#ifndef BUG_NOTED_AFTER_COPYING
          seen[0]=generation[0]; seen[1]=generation[1]
#endif
       :: changed && held && !(QUIET(0) && QUIET(1)) -> skip
       fi; changed=0 }
  :: atomic { !cut && move==SYNCED ->
       look_for_changes();
#ifdef BUG_FLIP_UNCOMPARED
       changed=0;
#endif
       if :: changed -> move=COMPARES :: else -> moved=1; move=TURNED fi; changed=0 }
  :: atomic { !cut && move==TURNED -> move=SENT }
  :: atomic { !cut && move==SENT -> sync(); move=STANDS; held=0 }
#ifdef BUG_SOURCE_REUSED_EARLY
  :: atomic { !cut && move>=TURNED && move<REUSED && old_now[0]!=FOREIGN ->
#else
  :: atomic { !cut && move==STANDS ->
#endif
       old_lands(0); old_now[0]=FOREIGN; old_lands(1); old_now[1]=FOREIGN; if :: move==STANDS -> move=REUSED :: else fi }

  /* ---- power goes: the batch of the flip is there or not, each window is at the place that is mapped then ---- */
  :: atomic { !cut ->
       cut=1; i=0;
       do :: i<WINDOWS -> old_lands(i); new_lands(i); i++ :: else -> break od; i=0;
       if :: move>=STANDS -> changed=1 :: move==SENT -> if :: changed=1 :: changed=0 fi :: else -> changed=0 fi;
       do
       :: i<WINDOWS ->
          at=(changed -> new_kept[i] : old_kept[i]);
          assert((at>=told[i] && at<=begun[i]) || (at==TORN && begun[i]>told[i]));
          i++
       :: else -> break
       od; i=0; at=0; changed=0 }
  od
}
