import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, Unreachable, type JobStatus, type JobView } from '../../api';
import { checkLike, jobLike, quietApi, settle, show, type Stage } from '../../testing/stage';
import { ceilingOf, createStepPlayer, glide, placeOf, STEPS } from './pace';
import Progress from './Progress.svelte';
import { waitingWords } from './waiting';

describe('the bar', () => {
  /** Draws 60 frames a second for so long and gives every position. */
  function draw(reports: [number, number][], seconds: number): number[] {
    const positions = [0];
    let [reported, reportedAt] = [0, 0];
    for (let ms = 16; ms <= seconds * 1000; ms += 16) {
      for (const [atMs, progress] of reports) {
        if (atMs <= ms && progress > reported) [reported, reportedAt] = [progress, ms];
      }
      const shown = positions.at(-1) ?? 0;
      positions.push(glide({ shown, reported, sinceReportMs: ms - reportedAt, frameMs: 16 }));
    }
    return positions;
  }

  test('moves between checkpoints but never reaches the next one by itself', () => {
    const positions = draw([[0, 40]], 600);
    const last = positions.at(-1) ?? 0;
    expect(last).toBeGreaterThan(45);
    expect(Math.max(...positions)).toBeLessThan(50);
  });

  test('never comes to 100 before the job does', () => {
    expect(Math.max(...draw([[0, 95]], 600))).toBeLessThan(100);
    expect(draw([[0, 100]], 5).at(-1)).toBeCloseTo(100, 5);
  });

  test('never goes back, also when it had crept ahead', () => {
    const positions = draw([[0, 5], [4000, 10], [4100, 20], [9000, 40], [9050, 50], [15000, 100]], 20);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
  });

  test.each([[0, 5], [5, 10], [20, 40], [43, 50], [95, 100], [100, 100]])('after %i comes %i', (reported, next) => {
    expect(ceilingOf(reported)).toBe(next);
  });
});

describe('the steps', () => {
  test('are each seen for a moment although they come all at once', () => {
    const player = createStepPlayer(400);
    STEPS.forEach(({ name, from }) => player.hear(from, name));
    const seen = [0, 399, 400, 800, 1200, 1600, 5000].map((ms) => player.at(ms).step);
    expect(seen).toEqual([0, 0, 1, 2, 3, 4, 4].map((index) => STEPS[index]?.name));
    expect(player.caughtUp(1700)).toBe(false);
    expect(player.caughtUp(2000)).toBe(true);
  });

  test('keep their newest progress while they wait', () => {
    const player = createStepPlayer(400);
    player.hear(5, 'Preparing your image...');
    player.at(0);
    player.hear(20, 'Finding your iris...');
    player.hear(40, 'Finding your iris...');
    expect(player.at(400)).toEqual({ step: 'Finding your iris...', progress: 40 });
  });

  test('never carry less progress than the one before', () => {
    const player = createStepPlayer(0);
    player.hear(60, 'Removing reflections...');
    player.hear(5, 'Preparing your image...');
    player.at(0);
    expect(player.at(1)).toEqual({ step: 'Preparing your image...', progress: 60 });
  });

  test.each([[0, 0], [10, 0], [20, 1], [50, 2], [72, 3], [95, 4], [100, STEPS.length]])(
    'at %i per cent the step is number %i, whatever it is called',
    (progress, place) => {
      expect(placeOf(progress)).toBe(place);
    },
  );
});

test.each([
  [{}, null],
  [{ waiting_because: { code: 'queue_ahead', message: 'Others go first.' }, eta_ms: null }, 'Others go first.'],
  [{ retrying: 'Trying again, attempt 2', eta_ms: { low: 900, high: 4000 } }, 'Trying again, attempt 2'],
  [{ eta_ms: { low: 9000, high: 18_000 } }, 'About 20 seconds.'],
  [{ eta_ms: { low: 60_000, high: 118_000 } }, 'About 2 minutes.'],
])('who waits is told %o as %s', (outlook, words) => {
  expect(waitingWords(outlook)).toBe(words);
});

describe('the screen', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    sessionStorage.clear();
  });

  function watching() {
    const api = quietApi();
    let hear = (_: JobView): void => undefined;
    let end = (_: JobStatus): void => undefined;
    let fail = (_: unknown): void => undefined;
    api.watch.mockImplementation((_, onView) => {
      hear = onView;
      return new Promise((resolve, reject) => ([end, fail] = [resolve, reject]));
    });
    const props = { ondone: vi.fn(), onlost: vi.fn(), onleave: vi.fn() };
    const job = jobLike({ status: 'pending', progress: 0 });
    const stage = show(Progress, { api, job, ...props });
    const pass = async (ms: number) => {
      await vi.advanceTimersByTimeAsync(ms);
      await settle();
    };
    return { api, stage, pass, ...props, hear: (view: JobView) => hear(view), end: (over: JobStatus) => end(over), fail: (error: unknown) => fail(error) };
  }

  test('speaks each step in a polite live region and marks it in the list', async () => {
    const { stage, hear, pass } = watching();
    hear({ progress: 20, step: 'Finding your iris...', connected: true });
    await pass(500);
    expect(stage.one('[data-step]').textContent).toBe('Finding your iris...');
    expect(stage.one('[data-step]').getAttribute('aria-live')).toBe('polite');
    expect(stage.one('[aria-current=step]').textContent).toContain('Finding your iris');
  });

  test('hands on the finished job after its last step was seen', async () => {
    const { hear, end, ondone, pass } = watching();
    hear({ progress: 100, step: 'Complete!', connected: true });
    const over = jobLike();
    end(over);
    await pass(100);
    expect(ondone).not.toHaveBeenCalled();
    await pass(1000);
    expect(ondone).toHaveBeenCalledExactlyOnceWith(over);
  });

  test('remembers the running job for a reload, and forgets it at the end', async () => {
    const { hear, end, pass } = watching();
    expect(sessionStorage.getItem('irisflow.running')).toBe(jobLike().job_id);
    hear({ progress: 100, step: 'Complete!', connected: true });
    end(jobLike());
    await pass(1500);
    expect(sessionStorage.getItem('irisflow.running')).toBeNull();
  });

  test('says why a job waits, until it no longer does', async () => {
    const { stage, hear, pass } = watching();
    const outlook = { waiting_because: { code: 'workers_busy', message: 'All workers are busy.' } };
    hear({ progress: 0, step: 'Preparing your image...', connected: true, outlook });
    await pass(50);
    expect(stage.text()).toContain('All workers are busy.');
    hear({ progress: 5, step: 'Preparing your image...', connected: true, outlook: { waiting_because: null } });
    await pass(50);
    expect(stage.text()).not.toContain('All workers are busy.');
  });

  test('says when the connection is being found again', async () => {
    const { stage, hear, pass } = watching();
    hear({ progress: 20, step: 'Finding your iris...', connected: false });
    await pass(50);
    expect(stage.text()).toContain('Finding the connection again.');
  });

  test('a job that cannot be watched is handed back with the reason', async () => {
    const { fail, onlost, pass } = watching();
    const gone = new ApiError(404, 'job_not_found', 'This picture is not here.');
    fail(gone);
    await pass(50);
    expect(onlost).toHaveBeenCalledExactlyOnceWith(gone);
  });

  test('shows what was seen in the photo, in words and outlined', async () => {
    const sighting = { photo: new Blob(['x']), check: checkLike({ suggestion: 'Look straight into the camera.' }) };
    const stage = show(Progress, { api: quietApi(), job: jobLike(), sighting, ondone: vi.fn(), onlost: vi.fn(), onleave: vi.fn() });
    await settle();
    expect(stage.text()).toContain('A beautiful, sharp photo. Look straight into the camera.');
    expect(stage.all('.seen ellipse')).toHaveLength(2);
  });

  /** Presses buttons one after the other, as slowly as people do who mean it. */
  async function pressSlowly(stage: Stage, pass: (ms: number) => Promise<void>, ...buttons: string[]): Promise<void> {
    for (const button of buttons) {
      await pass(1_000);
      await stage.press(button);
    }
  }

  test('is stopped after a second thought', async () => {
    const { api, stage, pass } = watching();
    await pressSlowly(stage, pass, 'Stop');
    expect(stage.text()).toContain('Stop making this picture?');
    expect(api.cancel).not.toHaveBeenCalled();
    await pressSlowly(stage, pass, 'Yes, stop it');
    expect(api.cancel).toHaveBeenCalledWith(jobLike().job_id);
    expect(stage.text()).toContain('Stopping…');
  });

  test('says so when it could not be stopped, and offers it again', async () => {
    const { api, stage, pass } = watching();
    api.cancel.mockRejectedValue(new Unreachable());
    await pressSlowly(stage, pass, 'Stop', 'Yes, stop it');
    expect(stage.one('[role=alert]').textContent).toContain('could not be stopped');
    expect(stage.button('Stop').textContent).toBe('Stop');
  });

  test('goes on when the second thought says so', async () => {
    const { api, stage, pass } = watching();
    await pressSlowly(stage, pass, 'Stop', 'Keep going');
    expect(stage.button('Stop')).toBeTruthy();
    expect(api.cancel).not.toHaveBeenCalled();
  });

  test('a double tap that was meant for the screen before neither stops nor leaves', async () => {
    const { api, onleave, stage } = watching();
    await stage.press('Stop');
    await stage.press('Another photo');
    expect(stage.text()).not.toContain('Stop making this picture?');
    expect(onleave).not.toHaveBeenCalled();
    expect(api.cancel).not.toHaveBeenCalled();
  });

  test('leaving ends the watch, not the work', async () => {
    const { api, stage, onleave, pass } = watching();
    await pressSlowly(stage, pass, 'Another photo');
    expect(onleave).toHaveBeenCalledOnce();
    expect(stage.text()).toContain('The work goes on.');
    expect(api.watch.mock.calls[0]?.[2].aborted).toBe(false);
    await stage.close();
    expect(api.watch.mock.calls[0]?.[2].aborted).toBe(true);
  });
});
