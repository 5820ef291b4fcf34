import { expect, test, vi } from 'vitest';
import { flushPromises, render } from '../../testing/component-harness';
import { fakeApi } from '../../testing/fake-api';
import { checkFixture, jobFixture } from '../../testing/fixtures';
import JobFailure from './JobFailure.svelte';

function renderFailure(differences = {}) {
  const api = fakeApi();
  const props = { onpick: vi.fn(), onsubmitted: vi.fn(), onleave: vi.fn() };
  const job = jobFixture({ status: 'failed', result_url: null, ...differences });
  return { api, ...props, screen: render(JobFailure, { api, job, ...props }) };
}

const qualityIssue = {
  error_type: 'quality_issue',
  error_message: 'We could not find an iris.',
  suggestion: 'Try capturing a new photo in better lighting with your eye centered.',
};

test('a rejected photo shows message and suggestion, asks for another and cannot be tried again', () => {
  const { screen } = renderFailure(qualityIssue);
  expect(screen.text()).toContain(qualityIssue.error_message);
  expect(screen.text()).toContain(qualityIssue.suggestion);
  expect(screen.button('Take another photo')).toBeTruthy();
  expect(screen.all('button')).toHaveLength(0);
});

test('the eye in a rejected photo is outlined', async () => {
  const api = fakeApi();
  api.check.mockResolvedValue(checkFixture({ usable: false, message: 'The iris is out of focus.' }));
  const job = jobFixture({ status: 'failed', ...qualityIssue, error_type: 'quality_issue', original_url: '/photo.jpg' });
  const screen = render(JobFailure, { api, job, onpick: vi.fn(), onsubmitted: vi.fn(), onleave: vi.fn() });
  await flushPromises();
  expect(api.check.mock.calls[0]?.[0]).toBe(job.photo_id);
  expect(screen.one('h1').textContent).toBe('We see your eye, but…');
  expect(screen.all('ellipse')).toHaveLength(2);
});

test('another photo can be picked', async () => {
  const { onpick, screen } = renderFailure(qualityIssue);
  const input = screen.one<HTMLInputElement>('input[capture]');
  const file = new File(['x'], 'other.jpg', { type: 'image/jpeg' });
  Object.defineProperty(input, 'files', { value: [file] });
  input.dispatchEvent(new Event('change', { bubbles: true }));
  await flushPromises();
  expect(onpick).toHaveBeenCalledWith(file);
});

test.each(['transient_error', 'server_error'])('after a %s the same photo can be tried again', async (error_type) => {
  const { api, onsubmitted, screen } = renderFailure({ error_type, error_message: 'Sorry.' });
  const again = jobFixture({ job_id: 'next', status: 'pending' });
  api.reprocess.mockResolvedValue(again);
  await screen.press('Try again');
  expect(onsubmitted).toHaveBeenCalledWith(again);
});

test('a cancelled job can be tried again', () => {
  const { screen } = renderFailure({ status: 'cancelled' });
  expect(screen.text()).toContain('This one was stopped.');
  expect(screen.button('Try again')).toBeTruthy();
});
