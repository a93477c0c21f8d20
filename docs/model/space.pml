/*
 * Whose a block is: bitmaps that come and go, counts beside them, blocks that wait, and a reserve (R2, R3, R6, R7, R10).
 *
 * Four blocks in two groups. A group has a bitmap at a home, a free count, and a word whether its bitmap was ever
 * written; what is reserved or retired is known in memory alone, also while the bitmap is not in memory. The journal is
 * taken as proved (ashlar.pml): each batch is a whole state, and a power cut ends in one between the acknowledged and the
 * newest. An erase takes a block for metadata before it gives one back, as a node that splits does.
 *
 * What must hold: no block is written that a state which a cut may bring back still owns, or that replay would write
 * over; in each such state bits, owners and counts agree; and from every full state an erase succeeds.
 */
#ifndef MAXSEQ
#define MAXSEQ 4
#endif
#ifndef MAXC
#define MAXC 1
#endif
#define NB 4
#define GROUP(b) ((b)>>1)
#define NOBODY 0
#define DATA   1
#define NODE   2
#define NONE   4

/* a state of the volume, as a batch leaves it: owners, bits, counts, which bitmaps were ever written */
#define OWNER(s,b)   (((s)>>(2*(b)))&3)
#define BIT(s,b)     (((s)>>(8+(b)))&1)
#define COUNT(s,g)   (((s)>>(12+2*(g)))&3)
#define WRITTEN(s,g) (((s)>>(16+(g)))&1)

int  story[MAXSEQ+1];
byte last, acked, conf, tail;

byte owner[NB];                         /* what the trees say */
byte bits[2], home[2], counts[2];       /* the cached bitmap, the one at home, the free counts */
bool loaded[2], written[2];
byte changed_by[2];                     /* newest change that is not at home */
byte freed_by[NB]; bool was_node[NB], reserved[NB];
byte asked; bool for_node;              /* what the operation under way has reserved */
byte cuts;
#ifdef BUG_COUNT_IN_NEXT_BATCH
byte counts_before[2];
#endif

byte i, g, k, b; int x;

#define HAS(g,b) ((bits[g]>>((b)&1))&1)
#define IS_FREE(b) (loaded[GROUP(b)] && !HAS(GROUP(b),b) && freed_by[b]==0 && !reserved[b])
#define ALL_FREE ((IS_FREE(0) -> 1 : 0) + (IS_FREE(1) -> 1 : 0) + (IS_FREE(2) -> 1 : 0) + (IS_FREE(3) -> 1 : 0))
#define OWNED(b) (owner[b]!=NOBODY || reserved[b])
#define NOT_OWNED ((OWNED(0) -> 0 : 1) + (OWNED(1) -> 0 : 1) + (OWNED(2) -> 0 : 1) + (OWNED(3) -> 0 : 1))
#define WAITING (freed_by[0] || freed_by[1] || freed_by[2] || freed_by[3])
#define HAS_DATA (owner[0]==DATA || owner[1]==DATA || owner[2]==DATA || owner[3]==DATA)
#define BOTH_LOADED (loaded[0] && loaded[1])
#ifdef BUG_NO_RESERVE
#define FLOOR 0
#else
#define FLOOR 1
#endif
#ifdef BUG_REUSE_ACKNOWLEDGED
#define MAY_REUSE acked
#else
#define MAY_REUSE conf
#endif

inline free_what_may_be() {
  i=0;
  do
  :: i<NB ->
     if
#ifdef BUG_NODE_FREED_AS_DATA
     :: freed_by[i] && freed_by[i]<=MAY_REUSE -> freed_by[i]=0; was_node[i]=0
#else
     :: freed_by[i] && freed_by[i]<=MAY_REUSE && (!was_node[i] || freed_by[i]<tail) -> freed_by[i]=0; was_node[i]=0
#endif
     :: else
     fi; i++
  :: else -> break
  od; i=0
}

#define ON_DISK(g) (loaded[g] -> bits[g] : (written[g] -> home[g] : 0))     /* the newest bits, wherever they are */
inline seal() {
  last++; x=(ON_DISK(0)<<8)|(ON_DISK(1)<<10); i=0;
  do :: i<NB -> x=x|(owner[i]<<(2*i)); i++ :: else -> break od; i=0;
#ifdef BUG_COUNT_IN_NEXT_BATCH
  x=x|(counts_before[0]<<12)|(counts_before[1]<<14); counts_before[0]=counts[0]; counts_before[1]=counts[1];
#else
  x=x|(counts[0]<<12)|(counts[1]<<14);
#endif
  x=x|(written[0]<<16)|(written[1]<<17);
  story[last]=x; x=0
}

inline mark(which) {
  bits[GROUP(which)]=bits[GROUP(which)]|(1<<((which)&1)); counts[GROUP(which)]--;
  written[GROUP(which)]=1; changed_by[GROUP(which)]=last+1
}
inline clear(which) {
  bits[GROUP(which)]=bits[GROUP(which)]&(3-(1<<((which)&1))); counts[GROUP(which)]++;
  written[GROUP(which)]=1; changed_by[GROUP(which)]=last+1; freed_by[which]=last+1; was_node[which]=(owner[which]==NODE)
}

/* a block is about to be written: nobody may still need what it holds, and replay may not come over it */
inline is_nobodys(which) {
  k=conf;
  do :: k<=last -> assert(OWNER(story[k],which)==NOBODY); k++ :: else -> break od;
  k=tail;
  do :: k<=last -> assert(OWNER(story[k],which)!=NODE); k++ :: else -> break od;
  k=0
}

inline choose_free() { if :: IS_FREE(0) -> b=0 :: IS_FREE(1) -> b=1 :: IS_FREE(2) -> b=2 :: IS_FREE(3) -> b=3 fi }

init {
  atomic {
    counts[0]=2; counts[1]=2; home[0]=3; home[1]=1;     /* what stands at a home that was never written is anything */
    tail=1; asked=NONE; story[0]=(2<<12)|(2<<14)
#ifdef BUG_COUNT_IN_NEXT_BATCH
    ; counts_before[0]=2; counts_before[1]=2
#endif
  };
end:
  do
  /* ---- bitmaps come and go ---- */
  :: atomic { !loaded[0] || !loaded[1] ->
       if :: !loaded[0] -> g=0 :: !loaded[1] -> g=1 fi;
       bits[g]=home[g];
#ifndef BUG_UNWRITTEN_BELIEVED
       if :: !written[g] -> bits[g]=0 :: else fi;
#endif
       loaded[g]=1; g=0 }
#ifdef BUG_DIRTY_LEAVES
#define MAY_LEAVE(g) loaded[g]
#else
#define MAY_LEAVE(g) (loaded[g] && changed_by[g]==0)
#endif
  :: atomic { MAY_LEAVE(0) || MAY_LEAVE(1) ->
       if :: MAY_LEAVE(0) -> g=0 :: MAY_LEAVE(1) -> g=1 fi;
       loaded[g]=0; bits[g]=0; changed_by[g]=0;
#ifdef BUG_WAITING_FORGOTTEN
       freed_by[2*g]=0; freed_by[2*g+1]=0; reserved[2*g]=0; reserved[2*g+1]=0;
#endif
       g=0 }

  /* ---- operations: reserve and write the block; then join, or give it back ---- */
  :: atomic { asked==NONE && last<MAXSEQ && ALL_FREE>FLOOR ->
       choose_free(); is_nobodys(b); reserved[b]=1; asked=b; for_node=0;
#ifdef BUG_BIT_BEFORE_JOIN
       bits[GROUP(b)]=bits[GROUP(b)]|(1<<(b&1));
#endif
       b=0 }
  :: atomic { asked!=NONE && !for_node && last<MAXSEQ && loaded[GROUP(asked)] ->
       reserved[asked]=0; owner[asked]=DATA; mark(asked); seal(); free_what_may_be(); asked=NONE }
  :: atomic { asked!=NONE -> reserved[asked]=0; asked=NONE; for_node=0 }
  /* an erase: one block more for a node, then one block less of data, in one batch */
  :: atomic { asked==NONE && last<MAXSEQ && HAS_DATA && ALL_FREE>0 ->
       choose_free(); is_nobodys(b); reserved[b]=1; asked=b; for_node=1; b=0 }
  :: atomic { asked!=NONE && for_node && last<MAXSEQ && BOTH_LOADED && HAS_DATA ->
       reserved[asked]=0; owner[asked]=NODE; mark(asked);
       if :: owner[0]==DATA -> b=0 :: owner[1]==DATA -> b=1 :: owner[2]==DATA -> b=2 :: owner[3]==DATA -> b=3 fi;
       clear(b); owner[b]=NOBODY; seal(); free_what_may_be(); asked=NONE; for_node=0; b=0 }
  /* the node goes when the tree joins its nodes again */
  :: atomic { asked==NONE && last<MAXSEQ && BOTH_LOADED && (owner[0]==NODE || owner[1]==NODE || owner[2]==NODE || owner[3]==NODE) ->
       if :: owner[0]==NODE -> b=0 :: owner[1]==NODE -> b=1 :: owner[2]==NODE -> b=2 :: owner[3]==NODE -> b=3 fi;
       clear(b); owner[b]=NOBODY; seal(); free_what_may_be(); b=0 }

  /* ---- what a full volume answers ---- */
  :: atomic { asked==NONE && last<MAXSEQ && BOTH_LOADED && ALL_FREE<=FLOOR ->           /* "no space" */
#ifndef BUG_NOT_DRAINED
       if
       :: WAITING -> skip                                       /* confirm, bring home, look again */
       :: else ->
#endif
          assert(NOT_OWNED<=FLOOR)
#ifndef BUG_NOT_DRAINED
       fi
#endif
       }
  :: atomic { asked==NONE && BOTH_LOADED && HAS_DATA && ALL_FREE==0 && !WAITING -> assert(owner[0]==NODE || owner[1]==NODE || owner[2]==NODE || owner[3]==NODE) }

  /* ---- durable, confirmed, home ---- */
  :: atomic { acked<last -> acked=last; free_what_may_be() }
  :: atomic { conf<acked -> conf=acked; free_what_may_be() }
  :: atomic { (changed_by[0] && changed_by[0]<=conf) || (changed_by[1] && changed_by[1]<=conf) ->
       if :: changed_by[0] && changed_by[0]<=conf -> g=0 :: changed_by[1] && changed_by[1]<=conf -> g=1 fi;
       home[g]=bits[g]; changed_by[g]=0; g=0 }
  :: atomic { tail<=conf && changed_by[0]==0 && changed_by[1]==0 ->
       tail=conf+1; free_what_may_be();
       assert(conf<last || !WAITING) }                          /* drained: nothing waits any more */

  /* ---- power goes ---- */
  :: atomic { cuts<MAXC ->
       cuts++; k=acked; do :: k<last -> if :: k++ :: break fi :: else -> break od;
       i=0;
       do
       :: i<NB ->
          assert((OWNER(story[k],i)!=NOBODY)==BIT(story[k],i));
          owner[i]=OWNER(story[k],i); freed_by[i]=0; was_node[i]=0; reserved[i]=0; i++
       :: else -> break
       od; i=0;
       do
       :: g<2 ->
          assert(COUNT(story[k],g)==2-BIT(story[k],2*g)-BIT(story[k],2*g+1));
          counts[g]=COUNT(story[k],g); written[g]=WRITTEN(story[k],g); loaded[g]=0; bits[g]=0; changed_by[g]=0;
          if :: written[g] -> home[g]=BIT(story[k],2*g)|(BIT(story[k],2*g+1)<<1) :: else fi;
          g++
       :: else -> break
       od; g=0;
#ifdef BUG_COUNT_IN_NEXT_BATCH
       counts_before[0]=counts[0]; counts_before[1]=counts[1];
#endif
       asked=NONE; for_node=0;
       story[0]=story[k]; i=1; do :: i<=MAXSEQ -> if :: i!=k -> story[i]=0 :: else fi; i++ :: else -> break od; i=0;
       last=k; acked=k; conf=k; tail=k+1; k=0 }
  od
}
