// A page without a framework: sign in, choose a photo, watch, see the picture.

import { IrisflowClient } from '@irisflow/client';

const form = document.querySelector('form');
const bar = document.querySelector('progress');
const status = document.querySelector('[role=status]');
const picture = document.querySelector('img');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const client = new IrisflowClient({ baseUrl: form.elements.server.value });
  try {
    await client.login(form.elements.email.value, form.elements.password.value);
    const job = await client.process(form.elements.photo.files[0], {
      // With a presigned upload, browsers report how much has been sent.
      upload: { presigned: true },
      onProgress(progress) {
        const uploading = progress.phase === 'uploading';
        bar.value = uploading ? progress.sent * 100 : progress.job.progress;
        status.textContent = uploading ? 'Uploading...' : progress.job.step;
      },
    });
    picture.src = job.result_url;
    picture.hidden = false;
  } catch (error) {
    status.textContent = error.message;
  }
});
