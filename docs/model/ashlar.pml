/*
 * How ashlar commits, brings home, reuses and recovers: the protocol without its bytes.
 *
 * What it stands for. A volume has NB blocks for anybody, a ring of R batches, an anchor in two copies, and a map whose
 * home never moves and takes two sectors.
 *   data    one object of one block. Each overwrite goes to a fresh block, and the first sector of the map follows.
 *   node    a metadata block out of the same pool: born, changed in place, erased, and its block may become data.
 *           The second sector of the map says where it is.
 * Every cell of the device has two values: what a power cut leaves for sure, and what was written last. Where they
 * differ, a cut may leave the old, the new, or (in blocks, batches and anchors) something torn. Sectors do not tear.
 * Batch 0 is the formatted volume.
 *
 * What must hold, wherever it is cut, recovery included:
 *   - everything acknowledged is there, what was cut never returns, no batch is seen by halves;
 *   - each block has one owner, and what the owner reads is what it wrote;
 *   - history that is not whole is refused exactly where something acknowledged and confirmed is missing.
 *
 * Switches. What may happen besides power cuts:
 *   KILL       the process ends, the device does not
 *   FAILSYNC   a sync fails: some writes arrived, and the device believes that all of them did
 *   READERR    one opening meets something that it cannot read: data, a batch, or a copy of the anchor
 *   ROTDATA    one synced data block turns unreadable
 *   ROTRING    one synced batch turns unreadable
 *   CLOSE      a store that brought everything home may be closed instead: its anchor is clean, and opening it searches nothing
 * What the store may do besides: PAIR (two overwrites in one batch), RIDE (data inside the batch), MOVE, TRIM.
 * Each BUG_ switch breaks one rule; test/model/run.py says which, and that it is found.
 */
#ifndef NB
#define NB 3
#endif
#ifndef R
#define R 3
#endif
#ifndef MAXSEQ
#define MAXSEQ 3                /* batches */
#endif
#ifndef MAXC
#define MAXC 1                  /* power cuts and kills */
#endif
#ifndef AHEAD
#define AHEAD 2                 /* batches that may wait for one sync */
#endif

/* What a block holds: 1 and 2 are data, 3 and 4 a node. */
#define NOWHERE 3
#define TRIMMED 6
#define TORN    7

/* A batch in the ring: number, epoch, acknowledged up to, what it did, to which block, with which value. */
#define DATA  1
#define NODE  2
#define ERASE 3
#define RIDES 4
#define TWO   5
#define NUMBER(x)  ((x)&7)
#define EPOCH(x)   (((x)>>3)&3)
#define CLAIM(x)   (((x)>>5)&7)
#define WHAT(x)    (((x)>>8)&7)
#define WHERE(x)   (((x)>>11)&3)
#define VALUE(x)   ((((x)>>13)&1)+1)
#define HASH(x)    ((x)&16383)          /* stands for the hash of the batch: no two batches share it */
#define BEFORE(x)  (((x)>>14)&16383)    /* the hash of the batch before */
#define HEADLESS   0                    /* a torn batch: nothing of it is whole */
#define TAILLESS   (1<<28)              /* or its header is, and the rest is not */
#define WHOLE(x)   ((x)!=HEADLESS && ((x)&TAILLESS)==0)

/* An anchor. A newer one is the larger number. */
#define ANCHOR(epoch,tail,confirmed,first,chain) (((epoch)<<24)|((tail)<<21)|((confirmed)<<18)|((first)<<15)|(chain))
#define A_EPOCH(a)     (((a)>>24)&3)
#define A_TAIL(a)      (((a)>>21)&7)
#define A_CONFIRMED(a) (((a)>>18)&7)
#define A_FIRST(a)     (((a)>>15)&7)
#define A_CHAIN(a)     ((a)&16383)
#define CLEAN          (1<<14)          /* nothing was begun behind it; what is closed is newer than what was open */

/* ---- the device: *_kept survives a cut, *_now is what a read returns ---- */
byte block_kept[NB], block_now[NB];
int  ring_kept[R], ring_now[R];
byte map_kept, map_now;                 /* first sector: where the data lies, and its value */
byte root_kept, root_now;               /* second sector: where the node lies */
int  anchor_kept[2], anchor_now[2];
#ifdef FAILSYNC
bool block_lost[NB], ring_lost[R], map_lost, root_lost, anchor_lost[2];  /* the device has forgotten to write it */
byte failures;
#define IF_NOT_LOST(flag) !flag &&
#define FOUND_AGAIN(flag) flag=0
#else
#define IF_NOT_LOST(flag)
#define FOUND_AGAIN(flag) skip
#endif

/* ---- the store's memory ---- */
#define RUNNING   0
#define DECIDING  1
#define REPEATED  2
#define REMEMBERED 3
#define AGREED    4
#define REPLAYED  5
#define EMPTIED   6
#define DONE      7
#define READ_ONLY 8
#define REFUSED   9
#define CLOSING   10
#define CLOSED    11
byte phase;
byte data_at, data_is, node_at, node_is;
byte last, acked, conf, tail, epoch;    /* numbers of batches */
int  chain;                             /* hash of the newest */
byte freed_by[NB]; bool not_before_tail[NB], rode[NB];
byte map_change, node_change;           /* newest change */
byte map_first, node_first;             /* oldest change that is not at home */
byte map_next, node_next;               /* and the oldest that came while a home write is on its way */
bool map_going, node_going; byte node_home;
byte held_tail, held_until;             /* an erased node holds the tail until the erasing batch is confirmed */
int  anchored; bool second;             /* recovery: the anchor that counts, and the copy that is written last */
byte kept;                              /* recovery: the last batch that counts */
#ifdef MOVE
bool moving; byte seen_generation, seen_value, generation;
#endif

/* ---- what the user was told ---- */
byte story[MAXSEQ+1];                   /* after each batch: value of data, and of the node times 8 */
byte told, begun, known;                /* acknowledged; begun; confirmed when the store was last seen alive */
byte cuts, misread;
bool rotten;

/* scratch, 0 between steps */
byte i, t, cf, whole_to, old; int x, before, spot;

/* ---- rules that a switch may break ---- */
#if defined(BUG_REUSE_AT_ONCE)
#define MAY_REUSE last
#elif defined(BUG_REUSE_ACKNOWLEDGED)
#define MAY_REUSE acked
#else
#define MAY_REUSE conf
#endif
#if defined(BUG_HOME_AT_ONCE)
#define MAY_GO_HOME last
#elif defined(BUG_HOME_ACKNOWLEDGED)
#define MAY_GO_HOME acked
#else
#define MAY_GO_HOME conf
#endif
#if defined(BUG_EPOCH_IGNORED)
#define EPOCH_FITS(j) true
#elif defined(BUG_EPOCH_MAY_RISE)
#define EPOCH_FITS(j) (j==t || EPOCH(ring_now[j%R])>=EPOCH(ring_now[(j-1)%R]))
#else
#define EPOCH_FITS(j) (j<A_FIRST(anchored) || EPOCH(ring_now[j%R])==A_EPOCH(anchored))
#endif
#ifdef BUG_SEARCH_BELIEVES_ANY
#define PROVES_MISSING(y) (EPOCH(y)==A_EPOCH(anchored) && NUMBER(y)>i)
#else
#define PROVES_MISSING(y) false
#endif
#define STANDS_AT_TAIL(y) ((y)!=HEADLESS && EPOCH(y)>=A_EPOCH(anchored) && NUMBER(y)>=A_TAIL(anchored))
#define SEARCHES ((anchored&CLEAN)==0 || STANDS_AT_TAIL(ring_now[A_TAIL(anchored)%R]))
#ifdef BUG_OPEN_LEAVES_CLEAN
#define TAKES_BACK(a) ((a)&CLEAN)
#else
#define TAKES_BACK(a) 0
#endif
#ifdef BUG_CLOSED_BEFORE_HOME
#define IS_HOME true
#else
#define IS_HOME (map_first==0 && node_first==0 && held_tail==0)
#endif
#ifdef BUG_FLIP_UNCOMPARED
#define MAY_FLIP true
#else
#define MAY_FLIP (seen_generation==generation)
#endif
#ifdef BUG_RODE_FREED_AS_DATA
#define WAITS_FOR_TAIL(b) false
#else
#define WAITS_FOR_TAIL(b) rode[b]
#endif

#define IS_FREE(b) ((b)!=data_at && (b)!=node_at && freed_by[b]==0)
#define ANY_FREE (IS_FREE(0) || IS_FREE(1) || IS_FREE(2))
#ifdef BUG_TRIM_AT_ONCE
#define MAY_TRIM(b) ((b)!=data_at && (b)!=node_at && block_now[b]!=TRIMMED)
#else
#define MAY_TRIM(b) (IS_FREE(b) && block_now[b]!=TRIMMED)
#endif
#define ROOM (last<MAXSEQ && last-acked<AHEAD && (last+1)-tail+1<=R)

/* ---- cells ---- */
inline block_lands(k)  { if :: IF_NOT_LOST(block_lost[k]) block_kept[k]!=block_now[k] -> if :: block_kept[k]=block_now[k] :: block_kept[k]=TORN :: skip fi :: else fi }
inline ring_lands(k)   { if :: IF_NOT_LOST(ring_lost[k]) ring_kept[k]!=ring_now[k] -> if :: ring_kept[k]=ring_now[k] :: ring_kept[k]=HEADLESS :: ring_kept[k]=ring_now[k]|TAILLESS :: skip fi :: else fi }
inline anchor_lands(k) { if :: IF_NOT_LOST(anchor_lost[k]) anchor_kept[k]!=anchor_now[k] -> if :: anchor_kept[k]=anchor_now[k] :: anchor_kept[k]=0 :: skip fi :: else fi }
inline map_lands()     { if :: IF_NOT_LOST(map_lost) map_kept!=map_now -> if :: map_kept=map_now :: skip fi :: else fi }
inline root_lands()    { if :: IF_NOT_LOST(root_lost) root_kept!=root_now -> if :: root_kept=root_now :: skip fi :: else fi }

inline write_block(k,v)  { block_lands(k); block_now[k]=v; FOUND_AGAIN(block_lost[k]) }
inline write_ring(k,v)   { ring_lands(k); ring_now[k]=v; FOUND_AGAIN(ring_lost[k]) }
inline write_anchor(k,v) { anchor_lands(k); anchor_now[k]=v; FOUND_AGAIN(anchor_lost[k]) }
inline write_map(v)      { map_lands(); map_now=v; FOUND_AGAIN(map_lost) }
inline write_root(v)     { root_lands(); root_now=v; FOUND_AGAIN(root_lost) }

inline everything_lands() {
  i=0; do :: i<NB -> block_lands(i); i++ :: else -> break od;
  i=0; do :: i<R -> ring_lands(i); i++ :: else -> break od;
  map_lands(); root_lands(); anchor_lands(0); anchor_lands(1); i=0
}

inline device_syncs() {
#ifdef FAILSYNC
  i=0; do :: i<NB -> if :: !block_lost[i] -> block_kept[i]=block_now[i] :: else fi; i++ :: else -> break od;
  i=0; do :: i<R -> if :: !ring_lost[i] -> ring_kept[i]=ring_now[i] :: else fi; i++ :: else -> break od;
  if :: !map_lost -> map_kept=map_now :: else fi; if :: !root_lost -> root_kept=root_now :: else fi;
  if :: !anchor_lost[0] -> anchor_kept[0]=anchor_now[0] :: else fi;
  if :: !anchor_lost[1] -> anchor_kept[1]=anchor_now[1] :: else fi;
#else
  i=0; do :: i<NB -> block_kept[i]=block_now[i]; i++ :: else -> break od;
  i=0; do :: i<R -> ring_kept[i]=ring_now[i]; i++ :: else -> break od;
  map_kept=map_now; root_kept=root_now; anchor_kept[0]=anchor_now[0]; anchor_kept[1]=anchor_now[1];
#endif
  i=0
}

/* ---- the running store ---- */
inline free_what_may_be() {
  i=0;
  do
  :: i<NB ->
     if
#ifdef BUG_FREED_METADATA_AS_DATA
     :: freed_by[i] && freed_by[i]<=MAY_REUSE -> freed_by[i]=0; not_before_tail[i]=0
#else
     :: freed_by[i] && freed_by[i]<=MAY_REUSE && (!not_before_tail[i] || freed_by[i]<tail) -> freed_by[i]=0; not_before_tail[i]=0
#endif
     :: else
     fi; i++
  :: else -> break
  od; i=0
}

inline map_changes()  { map_change=last+1; if :: !map_going && map_first==0 -> map_first=last+1 :: map_going && map_next==0 -> map_next=last+1 :: else fi }
inline node_changes() { node_change=last+1; if :: !node_going && node_first==0 -> node_first=last+1 :: node_going && node_next==0 -> node_next=last+1 :: else fi }

inline seal(what,b,v) {
  last++;
  x = last | (epoch<<3) | (acked<<5) | ((what)<<8) | ((b)<<11) | (((v)-1)<<13) | (chain<<14);
  write_ring(last%R, x); chain=HASH(x); x=0;
  story[last] = data_is + 8*(node_at!=NOWHERE -> node_is : 0);
  begun=last;
  free_what_may_be();
  assert(data_at!=node_at)
}

inline choose_free() { if :: IS_FREE(0) -> t=0 :: IS_FREE(1) -> t=1 :: IS_FREE(2) -> t=2 fi }

inline retire_data() { freed_by[data_at]=last+1; not_before_tail[data_at]=WAITS_FOR_TAIL(data_at); rode[data_at]=0 }

inline turn_to(b,v) {
  retire_data(); freed_by[b]=0; data_at=b; data_is=v;
#ifdef MOVE
  generation=last+1;
#endif
  map_changes()
}
inline overwrite(b,v) { turn_to(b,v); write_block(b,v) }

/* t := the oldest batch that replay still needs */
inline oldest_needed() {
  t=acked+1;
  if :: map_first && map_first<t -> t=map_first :: else fi;
  if :: node_first && node_first<t -> t=node_first :: else fi;
  if :: held_tail && held_tail<t -> t=held_tail :: else fi
}

/* x := the anchor that could be written now, 0 where there is nothing new to say */
inline next_anchor() {
  oldest_needed();
  before = A_CHAIN(anchor_now[0]);
  if :: t>A_TAIL(anchor_now[0]) -> before=HASH(ring_now[(t-1)%R]) :: else fi;
  x = ANCHOR(epoch,t,acked,A_FIRST(anchor_now[0]),before);
  if :: x==anchor_now[0] -> x=0 :: else fi;
  before=0
}

inline memory_is_gone() {
  data_at=0; data_is=0; node_at=NOWHERE; node_is=0; last=0; acked=0; conf=0; tail=0; epoch=0; chain=0; kept=0;
  i=0; do :: i<NB -> freed_by[i]=0; not_before_tail[i]=0; rode[i]=0; i++ :: else -> break od; i=0;
  map_change=0; node_change=0; map_first=0; map_next=0; node_first=0; node_next=0; map_going=0; node_going=0;
  node_home=0; held_tail=0; held_until=0; anchored=0; second=0;
#ifdef MOVE
  moving=0; seen_generation=0; seen_value=0; generation=0;
#endif
  phase=DECIDING
}

/* ---- recovery ---- */
inline read_anchors() {
  anchored=anchor_now[0]; second=0;
  if :: anchor_now[1]>anchor_now[0] -> anchored=anchor_now[1]; second=1 :: else fi;
#ifdef READERR
  if
  :: !misread && anchor_now[0] && anchor_now[1] ->       /* one copy cannot be read: the other counts */
     misread=1; if :: anchored=anchor_now[0]; second=0 :: anchored=anchor_now[1]; second=1 fi
  :: skip
  fi;
#endif
  assert(anchored!=0)
}

#if defined(PAIR)
#define TWO_ARE_THERE(y) (block_now[WHERE(y)]==VALUE(y) && block_now[(WHERE(y)+1)%3]==3-VALUE(y))
#else
#define TWO_ARE_THERE(y) true
#endif
#define IS_THERE(y) ((WHAT(y)!=DATA || block_now[WHERE(y)]==VALUE(y)) && (WHAT(y)!=TWO || TWO_ARE_THERE(y)))

/* kept := the last batch that counts; phase REFUSED where history has a hole */
inline decide() {
  t=A_TAIL(anchored); cf=A_CONFIRMED(anchored); before=A_CHAIN(anchored); i=t;
#if defined(READERR) && defined(BUG_UNREADABLE_ENDS_HISTORY)
  if :: !misread -> misread=1; if :: ring_now[0]=0 :: ring_now[1]=0 :: ring_now[2]=0 fi :: skip fi;
#endif
  do
  :: i<t+R && WHOLE(ring_now[i%R]) && NUMBER(ring_now[i%R])==i && BEFORE(ring_now[i%R])==before && EPOCH_FITS(i) ->
     before=HASH(ring_now[i%R]); if :: CLAIM(ring_now[i%R])>cf -> cf=CLAIM(ring_now[i%R]) :: else fi; i++
  :: else -> break
  od;
  whole_to=i-1; spot=0;
#ifdef BUG_ANCHOR_DOES_NOT_CLAIM
  if :: A_CONFIRMED(anchored)>whole_to && cf==A_CONFIRMED(anchored) -> cf=whole_to :: else fi;
#endif
  old=0;
#ifndef BUG_NO_SEARCH
  do                                            /* what do later headers of this epoch know? */
  :: old<R && SEARCHES ->
     if
     :: ring_now[old]!=HEADLESS && EPOCH(ring_now[old])==A_EPOCH(anchored) && NUMBER(ring_now[old])>=i ->
        if :: CLAIM(ring_now[old])>cf -> cf=CLAIM(ring_now[old]) :: else fi;
        if :: PROVES_MISSING(ring_now[old]) -> cf=i :: else fi
     :: else
     fi; old++
  :: else -> break
  od; old=0;
#endif
  kept=t-1;
  if
  :: cf>=i -> phase=REFUSED; assert(rotten)     /* only what rotted away is ever missing */
  :: else ->
#ifdef BUG_DATA_UNCHECKED
     kept=whole_to;
#else
     do
     :: kept<whole_to && (kept+1<=cf || IS_THERE(ring_now[(kept+1)%R])) -> kept++
     :: else -> break
     od;
#endif
#if defined(READERR) && defined(BUG_UNREADABLE_IS_MISSING)
     if :: !misread && kept>cf && kept>=t && WHAT(ring_now[kept%R])==DATA -> misread=1; kept-- :: skip fi;
#endif
     assert(kept>=cf)
  fi;
  i=0; t=0; whole_to=0; before=0
}

/* what counts and is not confirmed is written again with the same bytes, and so is the anchor: they may stand in a cache
   only, and the other copy of the anchor is about to be written over */
inline write_again() {
#ifndef BUG_ANCHOR_NOT_WRITTEN_AGAIN
  write_anchor(second, anchored);
#endif
  i=A_TAIL(anchored);
  do
  :: i<=kept ->
     if
     :: i>cf ->
        spot=ring_now[i%R];
        write_ring(i%R, spot);
        if
        :: WHAT(spot)==DATA || WHAT(spot)==TWO -> write_block(WHERE(spot), block_now[WHERE(spot)])
        :: else
        fi;
        if :: WHAT(spot)==TWO -> write_block((WHERE(spot)+1)%3, block_now[(WHERE(spot)+1)%3]) :: else fi
     :: else
     fi; i++
  :: else -> break
  od; i=0; spot=0
}

inline replay() {
  i=A_TAIL(anchored);
#ifdef BUG_REPLAY_SKIPS_NEWER
  old=root_now>>2;                              /* the home says up to where it is: but only one of its sectors does */
#endif
  do
  :: i<=kept ->
     x=ring_now[i%R];
     if
#ifdef BUG_REPLAY_SKIPS_NEWER
     :: i<=old
#endif
     :: else ->
        if
        :: WHAT(x)==DATA || WHAT(x)==TWO -> write_map(WHERE(x)|(VALUE(x)<<2))
        :: WHAT(x)==RIDES -> write_map(WHERE(x)|(VALUE(x)<<2)); write_block(WHERE(x),VALUE(x))
        :: WHAT(x)==NODE -> write_block(WHERE(x),VALUE(x)+2); write_root(WHERE(x))
        :: WHAT(x)==ERASE -> write_root(NOWHERE)
        fi;
#ifdef BUG_REPLAY_SKIPS_NEWER
        write_root((root_now&3)|(i<<2));
#endif
     fi; i++
  :: else -> break
  od; i=0; x=0; old=0
}

#ifdef BUG_NEWER_ANCHOR_FIRST
#define FIRST_COPY second
#define LAST_COPY (1-second)
#else
#define FIRST_COPY (1-second)
#define LAST_COPY second
#endif

inline open() {
  data_at=map_now&3; data_is=map_now>>2; node_at=root_now&3;
  if :: node_at!=NOWHERE -> node_is=block_now[node_at]; node_home=node_at :: else fi;
  last=kept; acked=kept; conf=kept; tail=A_TAIL(anchored); epoch=A_EPOCH(anchored); chain=A_CHAIN(anchored);
  if :: kept>=tail -> chain=HASH(ring_now[kept%R]) :: else fi;
  assert(rotten || (kept>=told && kept<=begun));
  assert(kept>=known && kept<=begun);
  assert(data_is==(story[kept]&7) && (node_at!=NOWHERE -> node_is : 0)==(story[kept]>>3));
  assert(data_at!=node_at);
  assert(rotten || block_now[data_at]==data_is);
  told=kept; begun=kept; known=kept;
  i=0; do :: i<=MAXSEQ -> if :: i!=kept -> story[i]=0 :: else fi; i++ :: else -> break od; i=0;
  anchored=0; second=0; kept=0; phase=RUNNING
}

init {
  atomic {
    block_kept[0]=1; block_now[0]=1; map_kept=4; map_now=4; root_kept=NOWHERE; root_now=NOWHERE;
    x=ANCHOR(1,1,0,1,0); anchor_kept[0]=x; anchor_kept[1]=x; anchor_now[0]=x; anchor_now[1]=x; x=0;
    data_at=0; data_is=1; node_at=NOWHERE; tail=1; epoch=1; story[0]=1
  };
end:
  do
  /* ---- changes ---- */
  :: atomic { phase==RUNNING && ROOM && ANY_FREE ->
       choose_free(); if :: old=1 :: old=2 fi; overwrite(t,old); seal(DATA,data_at,data_is); t=0; old=0 }
#ifdef RIDE
  :: atomic { phase==RUNNING && ROOM && ANY_FREE ->
       choose_free(); if :: old=1 :: old=2 fi; turn_to(t,old); rode[data_at]=1; seal(RIDES,data_at,data_is); t=0; old=0 }
#endif
#ifdef PAIR
#define BOTH_FREE(b) (IS_FREE(b) && IS_FREE((b+1)%3))
  :: atomic { phase==RUNNING && ROOM && (BOTH_FREE(0) || BOTH_FREE(1) || BOTH_FREE(2)) ->
       if :: BOTH_FREE(0) -> t=0 :: BOTH_FREE(1) -> t=1 :: BOTH_FREE(2) -> t=2 fi;
       if :: old=1 :: old=2 fi;
       overwrite((t+1)%3,old); overwrite(t,3-old); seal(TWO,data_at,data_is); t=0; old=0 }
#endif
#ifdef BUG_OVERWRITE_IN_PLACE
  :: atomic { phase==RUNNING && ROOM && map_first && map_change>acked ->
       data_is=3-data_is; write_block(data_at,data_is); map_changes(); seal(DATA,data_at,data_is) }
#endif
  :: atomic { phase==RUNNING && ROOM && node_at==NOWHERE && ANY_FREE ->
       choose_free(); node_at=t; node_home=t; t=0; node_is=3; node_first=0; node_next=0; node_going=0;
       node_changes(); map_changes(); seal(NODE,node_at,1) }
  :: atomic { phase==RUNNING && ROOM && node_at!=NOWHERE ->
       node_is=7-node_is; node_changes(); seal(NODE,node_at,node_is-2) }
  :: atomic { phase==RUNNING && ROOM && node_at!=NOWHERE ->
       freed_by[node_at]=last+1; not_before_tail[node_at]=1; t=node_at; node_at=NOWHERE;
#ifndef BUG_ERASED_LEAVES_TAIL
       if :: node_first && held_tail==0 -> held_tail=node_first :: else fi;
       if :: held_tail -> held_until=last+1 :: else fi;
#endif
#ifndef BUG_ERASED_GOES_HOME
       node_home=0; node_is=0; node_first=0; node_next=0; node_going=0; node_change=0;
#endif
       map_changes(); seal(ERASE,t,1); t=0 }
#ifdef MOVE
  :: atomic { phase==RUNNING && !moving && last<MAXSEQ -> moving=1; seen_generation=generation; seen_value=block_now[data_at] }
  :: atomic { phase==RUNNING && moving && ROOM && ANY_FREE && MAY_FLIP ->
       choose_free(); assert(data_is==seen_value); overwrite(t,seen_value); seal(DATA,data_at,data_is); t=0;
       moving=0; seen_generation=0; seen_value=0 }
  :: atomic { phase==RUNNING && moving && seen_generation!=generation -> moving=0; seen_generation=0; seen_value=0 }
#endif
#ifdef TRIM
  :: atomic { phase==RUNNING && (MAY_TRIM(0) || MAY_TRIM(1) || MAY_TRIM(2)) ->
       if :: MAY_TRIM(0) -> t=0 :: MAY_TRIM(1) -> t=1 :: MAY_TRIM(2) -> t=2 fi; write_block(t,TRIMMED); t=0 }
#endif

  /* ---- home, anchors, syncs ---- */
  :: atomic { phase==RUNNING && map_first && !map_going && map_change<=MAY_GO_HOME ->
       write_map(data_at|(data_is<<2));
#ifdef RIDE
       if :: rode[data_at] -> write_block(data_at,data_is) :: else fi;
#endif
#ifdef BUG_REPLAY_SKIPS_NEWER
       write_root(node_at|(map_change<<2));
#else
       write_root(node_at);
#endif
       map_going=1 }
  :: atomic { phase==RUNNING && node_first && !node_going && node_change<=MAY_GO_HOME -> write_block(node_home,node_is); node_going=1 }
  :: atomic { phase==RUNNING && anchor_kept[0]==anchor_now[0] && anchor_kept[1]==anchor_now[1] && anchor_now[0]==anchor_now[1] ->
       next_anchor();
       if :: x!=0 -> write_anchor(0,x);
#ifdef BUG_BOTH_ANCHORS_AT_ONCE
             write_anchor(1,x);
#endif
#ifdef BUG_RING_FREED_EARLY
             tail=t; free_what_may_be();
#endif
          :: else fi; x=0; t=0 }
  :: atomic { phase==RUNNING && anchor_now[0]!=anchor_now[1] && anchor_kept[0]==anchor_now[0] -> write_anchor(1,anchor_now[0]) }
#define SOMETHING_UNSYNCED (acked<last || map_going || node_going || anchor_kept[0]!=anchor_now[0] || anchor_kept[1]!=anchor_now[1])
  :: atomic { phase==RUNNING && SOMETHING_UNSYNCED ->
       device_syncs();
       acked=last; told=last;
       if :: NUMBER(ring_now[last%R])==last && CLAIM(ring_now[last%R])>conf -> conf=CLAIM(ring_now[last%R]) :: else fi;
       if :: anchor_now[0]==anchor_now[1] ->
             tail=A_TAIL(anchor_now[0]); if :: A_CONFIRMED(anchor_now[0])>conf -> conf=A_CONFIRMED(anchor_now[0]) :: else fi
          :: else fi;
       known=conf;
       if :: map_going -> map_going=0; map_first=map_next; map_next=0 :: else fi;
       if :: node_going -> node_going=0; node_first=node_next; node_next=0 :: else fi;
       if :: held_until && held_until<=conf -> held_tail=0; held_until=0 :: else fi;
#ifndef BUG_REPLAY_SKIPS_NEWER
       if :: map_first==0 -> map_change=0 :: else fi;
#endif
       if :: node_first==0 -> node_change=0 :: else fi;
#if !defined(ROTDATA) && !defined(ROTRING)
       i=0; do :: i<acked -> story[i]=0; i++ :: else -> break od; i=0;
#endif
       free_what_may_be() }
#ifdef CLOSE
  :: atomic { phase==RUNNING && cuts<MAXC && !SOMETHING_UNSYNCED && anchor_now[0]==anchor_now[1] && IS_HOME && conf==last ->
       x=ANCHOR(epoch,last+1,last,A_FIRST(anchor_now[0]),chain)|CLEAN; write_anchor(0,x); x=0; phase=CLOSING }
  :: atomic { phase==CLOSING -> device_syncs(); write_anchor(1,anchor_now[0]); phase=CLOSED }
#ifdef BUG_CLOSED_GOES_ON
  :: atomic { phase==CLOSED -> device_syncs(); tail=last+1; phase=RUNNING }
#endif
  :: atomic { phase==CLOSED -> device_syncs(); cuts++; memory_is_gone() }
#endif
#ifdef FAILSYNC
  :: atomic { (phase==RUNNING || phase==CLOSING || phase==CLOSED) && !failures && SOMETHING_UNSYNCED ->
       failures=1; everything_lands();
       i=0; do :: i<NB -> block_lost[i]=(block_kept[i]!=block_now[i]); i++ :: else -> break od;
       i=0; do :: i<R -> ring_lost[i]=(ring_kept[i]!=ring_now[i]); i++ :: else -> break od; i=0;
       map_lost=(map_kept!=map_now); root_lost=(root_kept!=root_now);
       anchor_lost[0]=(anchor_kept[0]!=anchor_now[0]); anchor_lost[1]=(anchor_kept[1]!=anchor_now[1]);
#ifndef BUG_SYNC_TRIED_AGAIN
       phase=READ_ONLY
#endif
       }
  :: atomic { phase==READ_ONLY -> memory_is_gone() }            /* opened again on the same device */
#endif

  /* ---- recovery; a sync and the writes behind it are one step, as a cut between them finds what a cut after them may ---- */
  :: atomic { phase==DECIDING ->
       read_anchors(); decide();
       if
       :: phase==DECIDING ->
#ifndef BUG_NOT_WRITTEN_AGAIN
          write_again();
#endif
          phase=REPEATED
       :: else -> anchored=0; second=0; kept=0
       fi; cf=0 }
  :: atomic { phase==REPEATED ->
#ifndef BUG_NOT_WRITTEN_AGAIN
       device_syncs();
#endif
#ifdef BUG_REPLAY_BEFORE_ANCHOR
       phase=AGREED }
#else
       anchored=ANCHOR(A_EPOCH(anchored)+1,A_TAIL(anchored),kept,kept+1,A_CHAIN(anchored))|TAKES_BACK(anchored);
       write_anchor(FIRST_COPY,anchored); phase=REMEMBERED }
  :: atomic { phase==REMEMBERED -> device_syncs(); write_anchor(LAST_COPY,anchored); phase=AGREED }
#endif
  :: atomic { phase==AGREED -> device_syncs(); replay(); phase=REPLAYED }
  :: atomic { phase==REPLAYED ->
#ifndef BUG_HOME_NOT_SYNCED
       device_syncs();
#endif
#ifdef BUG_REPLAY_BEFORE_ANCHOR
       anchored=ANCHOR(A_EPOCH(anchored)+1,A_TAIL(anchored),kept,kept+1,A_CHAIN(anchored));
#endif
#ifndef BUG_RECOVERY_LEAVES_TAIL
       spot=A_CHAIN(anchored); if :: kept>=A_TAIL(anchored) -> spot=HASH(ring_now[kept%R]) :: else fi;
       anchored=ANCHOR(A_EPOCH(anchored),kept+1,kept,kept+1,spot)|TAKES_BACK(anchored); spot=0;
#endif
       write_anchor(FIRST_COPY,anchored); phase=EMPTIED }
  :: atomic { phase==EMPTIED -> device_syncs(); write_anchor(LAST_COPY,anchored); phase=DONE }
  :: atomic { phase==DONE -> device_syncs(); open() }

  /* ---- what ends it ---- */
  :: atomic { phase!=REFUSED && cuts<MAXC ->
       cuts++; everything_lands();
       i=0; do :: i<NB -> block_now[i]=block_kept[i]; i++ :: else -> break od;
       i=0; do :: i<R -> ring_now[i]=ring_kept[i]; i++ :: else -> break od; i=0;
       map_now=map_kept; root_now=root_kept; anchor_now[0]=anchor_kept[0]; anchor_now[1]=anchor_kept[1];
#ifdef FAILSYNC
       i=0; do :: i<NB -> block_lost[i]=0; i++ :: else -> break od;
       i=0; do :: i<R -> ring_lost[i]=0; i++ :: else -> break od; i=0;
       map_lost=0; root_lost=0; anchor_lost[0]=0; anchor_lost[1]=0;
#endif
       memory_is_gone() }
#ifdef KILL
  :: atomic { phase!=REFUSED && cuts<MAXC -> cuts++; memory_is_gone() }
#endif
#ifdef ROTDATA
#define MAY_ROT(b) (block_now[b]==block_kept[b] && block_now[b]<=2)
  :: atomic { phase==DECIDING && !rotten && (MAY_ROT(0) || MAY_ROT(1) || MAY_ROT(2)) ->
       rotten=1; if :: MAY_ROT(0) -> t=0 :: MAY_ROT(1) -> t=1 :: MAY_ROT(2) -> t=2 fi;
       block_now[t]=TORN; block_kept[t]=TORN; t=0 }
#endif
#ifdef ROTRING
#define MAY_FADE(k) (ring_now[k]==ring_kept[k] && ring_now[k]!=HEADLESS)
  :: atomic { phase==DECIDING && !rotten && (MAY_FADE(0) || MAY_FADE(1) || MAY_FADE(2)) ->
       rotten=1; if :: MAY_FADE(0) -> t=0 :: MAY_FADE(1) -> t=1 :: MAY_FADE(2) -> t=2 fi;
       if :: ring_now[t]=HEADLESS :: ring_now[t]=ring_now[t]|TAILLESS fi; ring_kept[t]=ring_now[t]; t=0 }
#endif
  od
}
