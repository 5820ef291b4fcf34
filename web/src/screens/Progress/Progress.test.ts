import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ApiError, NetworkError, type JobStatus, type JobView, type Preview } from '../../api';
import { flushPromises, render, type Rendered } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { checkFixture, jobFixture } from '../../testing/fixtures';
import { createStepQueue, nextBarPosition, nextCheckpoint, stepIndexAt, STEPS } from './progress-animation';
import Progress from './Progress.svelte';
import { estimateText } from './estimate-text';
import { keepKnownUrls, previewAt } from './previews';

describe('the bar', () => {
  /** Every position of the bar at 60 frames a second. */
  function draw(reports: [number, number][], seconds: number): number[] {
    const positions = [0];
    let [reported, reportedAt] = [0, 0];
    for (let ms = 16; ms <= seconds * 1000; ms += 16) {
      for (const [atMs, progress] of reports) {
        if (atMs <= ms && progress > reported) [reported, reportedAt] = [progress, ms];
      }
      const shown = positions.at(-1) ?? 0;
      positions.push(nextBarPosition({ shown, reported, sinceReportMs: ms - reportedAt, frameMs: 16 }));
    }
    return positions;
  }

  test('moves between checkpoints but never reaches the next one before it is reported', () => {
    const positions = draw([[0, 40]], 600);
    const last = positions.at(-1) ?? 0;
    expect(last).toBeGreaterThan(45);
    expect(Math.max(...positions)).toBeLessThan(50);
  });

  test('never reaches 100 before the job does', () => {
    expect(Math.max(...draw([[0, 95]], 600))).toBeLessThan(100);
    expect(draw([[0, 100]], 5).at(-1)).toBeCloseTo(100, 5);
  });

  test('never goes back, also when it was ahead of the next report', () => {
    const positions = draw([[0, 5], [4000, 10], [4100, 20], [9000, 40], [9050, 50], [15000, 100]], 20);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
  });

  test.each([[0, 5], [5, 10], [20, 40], [43, 50], [95, 100], [100, 100]])('after %i comes %i', (reported, next) => {
    expect(nextCheckpoint(reported)).toBe(next);
  });
});

describe('the steps', () => {
  test('are each shown for a moment although they arrive all at once', () => {
    const steps = createStepQueue(400, 0, (name) => `${name}...`);
    STEPS.forEach(({ name, from }) => steps.push(Math.max(from, 5), name));
    const shown = [0, 399, 400, 800, 1200, 1600, 5000].map((ms) => steps.at(ms).step);
    expect(shown).toEqual([0, 0, 1, 2, 3, 4, 4].map((index) => STEPS[index]?.name));
    expect(steps.isDrained(1700)).toBe(false);
    expect(steps.isDrained(2000)).toBe(true);
  });

  test('in the queue keep their newest progress', () => {
    const steps = createStepQueue(400, 0, (name) => `${name}...`);
    steps.push(5, 'Preparing your image...');
    steps.at(0);
    steps.push(20, 'Finding your iris...');
    steps.push(40, 'Finding your iris...');
    expect(steps.at(400)).toEqual({ step: 'Finding your iris...', progress: 40 });
  });

  test('that a report overtook are shown too, from the first one on', () => {
    const steps = createStepQueue(0, 0, (name) => `${name}...`);
    steps.push(50, 'Removing reflections...');
    steps.push(100, 'Complete!');
    expect([0, 1, 2, 3, 4, 5].map((ms) => steps.at(ms).step)).toEqual([
      'preparing...',
      'segmenting...',
      'Removing reflections...',
      'enhancing...',
      'finishing...',
      'Complete!',
    ]);
  });

  test('before the page was opened are not shown', () => {
    const steps = createStepQueue(0, 70, (name) => `${name}...`);
    steps.push(70, 'Enhancing quality...');
    expect(steps.at(0)).toEqual({ step: 'Enhancing quality...', progress: 70 });
  });

  test('never carry less progress than the one before', () => {
    const steps = createStepQueue(0, 60, (name) => `${name}...`);
    steps.push(60, 'Removing reflections...');
    steps.push(5, 'Preparing your image...');
    steps.at(0);
    expect(steps.at(1)).toEqual({ step: 'Preparing your image...', progress: 60 });
  });

  test.each([[0, 0], [10, 0], [20, 1], [50, 2], [72, 3], [95, 4], [100, STEPS.length]])(
    'at %i per cent the index of the step is %i',
    (progress, index) => {
      expect(stepIndexAt(progress)).toBe(index);
    },
  );
});

test.each([
  [{}, null],
  [{ waiting_because: { code: 'queue_ahead', message: 'Others go first.' }, eta_ms: null }, 'Others go first.'],
  [{ retrying: 'Trying again, attempt 2', eta_ms: { low: 900, high: 4000 } }, 'Trying again, attempt 2'],
  [{ eta_ms: { low: 9000, high: 18_000 } }, 'About 20 seconds.'],
  [{ eta_ms: { low: 60_000, high: 118_000 } }, 'About 2 minutes.'],
])('the text of the estimate %o is %s', (estimate, text) => {
  expect(estimateText(estimate)).toBe(text);
});

describe('the previews', () => {
  const outline: Preview = { kind: 'outline', url: '/files/a.1_preview_outline.jpg?one', width: 512, height: 384 };
  const light: Preview = { kind: 'light', url: '/files/a.1_preview_light.jpg?one', width: 512, height: 512 };

  test.each([[1, null], [2, outline], [3, light], [5, light]])('at step %i are the newest of the steps before', (step, shown) => {
    expect(previewAt([outline, light], step)).toBe(shown);
  });

  test('keep their URL while they are the same picture', () => {
    const signedAgain = { ...outline, url: '/files/a.1_preview_outline.jpg?two' };
    const ofNextAttempt = { ...outline, url: '/files/a.2_preview_outline.jpg?two' };
    expect(keepKnownUrls([outline], [signedAgain, light])).toEqual([outline, light]);
    expect(keepKnownUrls([outline], [ofNextAttempt])).toEqual([ofNextAttempt]);
  });
});

describe('the screen', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    sessionStorage.clear();
  });

  function renderProgress() {
    const api = fakeApi();
    let view = (_: JobView): void => undefined;
    let end = (_: JobStatus): void => undefined;
    let fail = (_: unknown): void => undefined;
    api.watch.mockImplementation((_, onView) => {
      view = onView;
      return new Promise((resolve, reject) => ([end, fail] = [resolve, reject]));
    });
    const props = { ondone: vi.fn(), onfail: vi.fn(), onleave: vi.fn() };
    const job = jobFixture({ status: 'pending', progress: 0 });
    const screen = render(Progress, { api, job, ...props });
    const advance = async (ms: number) => {
      await vi.advanceTimersByTimeAsync(ms);
      await flushPromises();
    };
    return { api, screen, advance, ...props, onView: (update: JobView) => view(update), end: (job: JobStatus) => end(job), fail: (error: unknown) => fail(error) };
  }

  test('announces each step in a polite live region and marks it in the list', async () => {
    const { screen, onView, advance } = renderProgress();
    onView({ progress: 20, step: 'Finding your iris...', connected: true });
    await advance(1000);
    expect(screen.one('[data-step]').textContent).toBe('Finding your iris...');
    expect(screen.one('[data-step]').getAttribute('aria-live')).toBe('polite');
    expect(screen.one('[aria-current=step]').textContent).toContain('Finding your iris');
  });

  test('reports the finished job after its last step was shown', async () => {
    const { onView, end, ondone, advance } = renderProgress();
    onView({ progress: 100, step: 'Complete!', connected: true });
    const finished = jobFixture();
    end(finished);
    await advance(100);
    expect(ondone).not.toHaveBeenCalled();
    await advance(3000);
    expect(ondone).toHaveBeenCalledExactlyOnceWith(finished);
  });

  test('stores the running job for a reload until it ends', async () => {
    const { onView, end, advance } = renderProgress();
    expect(sessionStorage.getItem('irisflow.running')).toBe(jobFixture().job_id);
    onView({ progress: 100, step: 'Complete!', connected: true });
    end(jobFixture());
    await advance(3000);
    expect(sessionStorage.getItem('irisflow.running')).toBeNull();
  });

  test('shows why a job waits while it waits', async () => {
    const { screen, onView, advance } = renderProgress();
    const estimate = { waiting_because: { code: 'workers_busy', message: 'All workers are busy.' } };
    onView({ progress: 0, step: 'Preparing your image...', connected: true, estimate });
    await advance(50);
    expect(screen.text()).toContain('All workers are busy.');
    onView({ progress: 5, step: 'Preparing your image...', connected: true, estimate: { waiting_because: null } });
    await advance(50);
    expect(screen.text()).not.toContain('All workers are busy.');
  });

  test('shows the newest preview with a text, and the illustration alone when it cannot be loaded', async () => {
    const { screen, onView, advance } = renderProgress();
    const previews: Preview[] = [{ kind: 'outline', url: '/files/outline.jpg?signed', width: 512, height: 384 }];
    onView({ progress: 50, step: 'Removing reflections...', connected: true, previews });
    await advance(1000);
    const picture = screen.one('[data-preview=outline]');
    expect(picture.getAttribute('alt')).toBe('Your eye, with the outline that was found');
    picture.dispatchEvent(new Event('error'));
    await advance(50);
    expect(screen.all('[data-preview]')).toHaveLength(0);
  });

  test('may be told of the connection before the first answer of the server', async () => {
    const api = fakeApi();
    api.watch.mockImplementation((_, onView) => {
      onView({ progress: 0, step: '', connected: true });
      return new Promise(() => undefined);
    });
    render(Progress, { api, job: jobFixture({ status: 'pending' }), ondone: vi.fn(), onfail: vi.fn(), onleave: vi.fn() });
    await flushPromises();
    expect(api.watch).toHaveBeenCalledOnce();
  });

  test('shows when it is reconnecting', async () => {
    const { screen, onView, advance } = renderProgress();
    onView({ progress: 20, step: 'Finding your iris...', connected: false });
    await advance(50);
    expect(screen.text()).toContain('Finding the connection again.');
  });

  test('reports a job that cannot be watched with the reason', async () => {
    const { fail, onfail, advance } = renderProgress();
    const notFound = new ApiError(404, 'job_not_found', 'This picture is not here.');
    fail(notFound);
    await advance(50);
    expect(onfail).toHaveBeenCalledExactlyOnceWith(notFound);
  });

  test('shows the quality check of the photo as text and outlines', async () => {
    const checkedPhoto = { photo: new Blob(['x']), check: checkFixture({ suggestion: 'Look straight into the camera.' }) };
    const screen = render(Progress, { api: fakeApi(), job: jobFixture(), checkedPhoto, ondone: vi.fn(), onfail: vi.fn(), onleave: vi.fn() });
    await flushPromises();
    expect(screen.text()).toContain('A beautiful, sharp photo. Look straight into the camera.');
    expect(screen.all('.check ellipse')).toHaveLength(2);
  });

  /** Presses buttons one after the other, slower than a double tap. */
  async function pressSlowly(screen: Rendered, advance: (ms: number) => Promise<void>, ...buttons: string[]): Promise<void> {
    for (const button of buttons) {
      await advance(1_000);
      await screen.press(button);
    }
  }

  test('is cancelled after a confirmation', async () => {
    const { api, screen, advance } = renderProgress();
    await pressSlowly(screen, advance, 'Stop');
    expect(screen.text()).toContain('Stop making this picture?');
    expect(api.cancel).not.toHaveBeenCalled();
    await pressSlowly(screen, advance, 'Yes, stop it');
    expect(api.cancel).toHaveBeenCalledWith(jobFixture().job_id);
    expect(screen.text()).toContain('Stopping…');
  });

  test('shows when cancelling failed, and offers it again', async () => {
    const { api, screen, advance } = renderProgress();
    api.cancel.mockRejectedValue(new NetworkError());
    await pressSlowly(screen, advance, 'Stop', 'Yes, stop it');
    expect(screen.one('[role=alert]').textContent).toContain('could not be stopped');
    expect(screen.button('Stop').textContent).toBe('Stop');
  });

  test('goes on without the confirmation', async () => {
    const { api, screen, advance } = renderProgress();
    await pressSlowly(screen, advance, 'Stop', 'Keep going');
    expect(screen.button('Stop')).toBeTruthy();
    expect(api.cancel).not.toHaveBeenCalled();
  });

  test('a double tap on the previous screen neither cancels nor leaves', async () => {
    const { api, onleave, screen } = renderProgress();
    await screen.press('Stop');
    await screen.press('Another photo');
    expect(screen.text()).not.toContain('Stop making this picture?');
    expect(onleave).not.toHaveBeenCalled();
    expect(api.cancel).not.toHaveBeenCalled();
  });

  test('leaving stops watching the job without cancelling it', async () => {
    const { api, screen, onleave, advance } = renderProgress();
    await pressSlowly(screen, advance, 'Another photo');
    expect(onleave).toHaveBeenCalledOnce();
    expect(screen.text()).toContain('The work goes on.');
    expect(api.watch.mock.calls[0]?.[2].aborted).toBe(false);
    await screen.unmount();
    expect(api.watch.mock.calls[0]?.[2].aborted).toBe(true);
  });
});
