import { expect, test, vi } from 'vitest';
import { checkLike, jobLike, quietApi, settle, show } from '../../testing/stage';
import Problem from './Problem.svelte';

function problem(differences = {}) {
  const api = quietApi();
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onleave: vi.fn() };
  const job = jobLike({ status: 'failed', result_url: null, ...differences });
  return { api, ...props, stage: show(Problem, { api, job, ...props }) };
}

const quality = {
  error_type: 'quality_issue',
  error_message: 'We could not find an iris.',
  suggestion: 'Try capturing a new photo in better lighting with your eye centered.',
};

test('a photo at fault shows message and suggestion and asks for another, not for another try', () => {
  const { stage } = problem(quality);
  expect(stage.text()).toContain(quality.error_message);
  expect(stage.text()).toContain(quality.suggestion);
  expect(stage.button('Take another photo')).toBeTruthy();
  expect(stage.all('button')).toHaveLength(0);
});

test('an eye that was seen is outlined, although it will not do', async () => {
  const api = quietApi();
  api.check.mockResolvedValue(checkLike({ usable: false, message: 'The iris is out of focus.' }));
  const job = jobLike({ status: 'failed', ...quality, error_type: 'quality_issue', original_url: '/photo.jpg' });
  const stage = show(Problem, { api, job, onpick: vi.fn(), onsubmitted: vi.fn(), onleave: vi.fn() });
  await settle();
  expect(api.check.mock.calls[0]?.[0]).toBe(job.photo_id);
  expect(stage.one('h1').textContent).toBe('We see your eye, but…');
  expect(stage.all('ellipse')).toHaveLength(2);
});

test('the other photo is handed on', async () => {
  const { onpick, stage } = problem(quality);
  const input = stage.one<HTMLInputElement>('input[capture]');
  const file = new File(['x'], 'other.jpg', { type: 'image/jpeg' });
  Object.defineProperty(input, 'files', { value: [file] });
  input.dispatchEvent(new Event('change', { bubbles: true }));
  await settle();
  expect(onpick).toHaveBeenCalledWith(file);
});

test.each(['transient_error', 'server_error'])('after a %s the same photo is tried again', async (error_type) => {
  const { api, onsubmitted, stage } = problem({ error_type, error_message: 'Sorry.' });
  const again = jobLike({ job_id: 'next', status: 'pending' });
  api.reprocess.mockResolvedValue(again);
  await stage.press('Try again');
  expect(onsubmitted).toHaveBeenCalledWith(again);
});

test('a stopped job says so', () => {
  const { stage } = problem({ status: 'cancelled' });
  expect(stage.text()).toContain('This one was stopped.');
  expect(stage.button('Try again')).toBeTruthy();
});
