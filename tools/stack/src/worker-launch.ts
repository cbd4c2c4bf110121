/** How a worker is launched, here as anywhere: what can only be set before a process begins. */
export const WORKER_LAUNCH = {
  /**
   * Every core has a thread that analyses: helpers of the garbage collector would take theirs, and heaps are small (10 to
   * 30 MB). What a step leaves lies outside them and goes when the youngest part is swept: a small one is swept soon.
   */
  args: ['--single-threaded-gc', '--max-semi-space-size=1'],
  /**
   * glibc gives each thread that decodes an unusual picture an arena of its own and keeps what was freed there. Two
   * arenas for all of them cost no time and hold 70 MB less after such pictures.
   */
  env: { MALLOC_ARENA_MAX: '2' },
} as const;
