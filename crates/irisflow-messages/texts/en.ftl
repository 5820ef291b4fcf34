# What is said to people, in English. One message per key; parameters are { $names }. The syntax is that of
# Project Fluent (projectfluent.org). Keys are grouped by what they are about; a message and the one thing
# to do stand together as a text and its attribute `suggestion`.
#
# A key is used as `text!("key", parameter = value)` or `advice!(...)` in the code, which checks it against
# this file while it is compiled. Keep the four spaces before attributes and continued lines.


## Why a photo cannot be used

rejection-empty-file = The file is empty.
    .suggestion = Send the photo again.
rejection-not-a-photo = This file is not a photo.
    .suggestion = Choose a JPEG, PNG or WebP photo of an eye.
rejection-truncated-file = The { $format } file is cut off: its end is missing.
    .suggestion = Send it again, and wait until the upload has finished.
rejection-damaged-file = The { $format } file is damaged and cannot be read.
    .suggestion = Send the original photo again, or take a new one.
rejection-unsupported-format =
    { $format ->
        [animated-webp] Animated WebP
        [bmp] BMP
        [cmyk-jpeg] CMYK (printing colour) JPEG
        [gif] GIF
        [heightless-jpeg] Heightless JPEG
        [icon] Icon
        [jpeg-2000] JPEG 2000
        [jpeg-xl] JPEG XL
        [lossless-jpeg] Lossless and arithmetic-coded JPEG
        [photoshop] Photoshop
        [qoi] QOI
        [tiff-or-raw] TIFF or RAW
        [twelve-bit-jpeg] 12-bit JPEG
       *[other] Such
    } pictures cannot be read.
    .suggestion = Save the photo as JPEG and send that.
rejection-unsupported-photo = { $format } photos cannot be read yet.
    .suggestion = Send it as JPEG. On an iPhone choose Settings > Camera > Formats > Most Compatible and take the photo again.
rejection-too-many-bytes = The file has { $found } MiB and at most { $limit } MiB can be read.
    .suggestion = Send a smaller copy of the photo.
rejection-too-many-pixels = The photo has { $found } megapixels and at most { $limit } can be read.
    .suggestion = Send a smaller copy of the photo.
rejection-side-too-long = The photo is { $found } pixels long and at most { $limit } can be read.
    .suggestion = Send a smaller copy of the photo.
rejection-too-many-scans = The JPEG file is stored in { $found } passes and at most { $limit } can be read.
    .suggestion = Send a smaller copy of the photo.
rejection-too-much-memory = Decoding the photo takes { $found } MiB of memory and at most { $limit } MiB are given to one photo.
    .suggestion = Send a smaller copy of the photo.

rejection-no-iris-found = We could not find an iris in this photo.
    .suggestion = Come close to one open eye, so that it fills most of the picture.
rejection-no-iris-found-in-poor-light = We could not find an iris in this photo.
    .suggestion = Try capturing a new photo in better lighting with your eye centered.
rejection-iris-too-small = We see your eye, but it is too small in this photo.
    .suggestion =
    { $closer ->
        [twice] Come twice as close
        [times] Come about { $times } times as close
       *[much] Come much closer
    }, so that your eye fills most of the picture.
rejection-iris-cut-off =
    Too much of the iris is outside the picture { $side ->
        [left] on the left
        [right] on the right
        [top] at the top
       *[bottom] at the bottom
    }.
    .suggestion =
    Move the camera a little { $side ->
        [left] to the left
        [right] to the right
        [top] up
       *[bottom] down
    } or back, and keep your eye in the middle.
rejection-looking-away = The eye looks too far past the camera.
    .suggestion = Look straight into the camera and try again.
rejection-iris-unclear = There is an eye, but its iris cannot be made out clearly.
    .suggestion = { $tip ->
        [come-closer] Hold the phone closer, so that your eye fills most of the picture.
        [light] Turn a little away from the light that is mirrored in your eye, and try again.
        [open] Open your eye a little wider, without hair or glasses before it, and try again.
        [whole] Keep your whole eye in the picture, in its middle, and try again.
        [still] Tap your eye on the screen to focus, hold the phone still, and try again.
        [brighter] Face a window or a lamp and try again.
        [softer] Try again without flash and out of direct sunlight.
       *[straight] Look straight into the camera, in even light, and try again from closer.
    }
rejection-too-dark = The photo is too dark to see the iris.
    .suggestion = Try again facing a window or a lamp.
rejection-overexposed = The photo is too bright to see the iris.
    .suggestion = Try again without flash and out of direct sunlight.
rejection-iris-behind-lids = Too much of the iris is behind the eyelids.
    .suggestion = Open your eye a little wider and try again.
rejection-iris-behind-hair = Lashes, hair or glasses hide too much of the iris.
    .suggestion = Move aside what hangs before your eye, look straight ahead, and try again.
rejection-light-from-the-side =
    A bright light or window { $side ->
        [left] on the left
       *[right] on the right
    } is mirrored over your iris.
    .suggestion =
    Turn a little { $side ->
        [left] to the right
       *[right] to the left
    } and try again.
rejection-light-from-above = A bright light from above is mirrored over your iris.
    .suggestion = Step out from under the light, or tilt your head down a little.
rejection-iris-behind-light = Bright light is mirrored over most of your iris.
    .suggestion = Turn a little away from the light and try again.
rejection-too-blurry = The iris is out of focus.
    .suggestion = Hold the camera still, tap your eye on the screen to focus, and try again.

# The figure is a stable name, as in `sharpness`.
missed-limit =
    { $figure } { $value }, { $bound ->
        [least] at least
       *[most] at most
    } { $limit } needed


## How good a usable photo is, and what would make the next one better

praise-beautiful = A beautiful, sharp photo.
praise-good = A good photo.
praise-good-enough = Good enough.
praise-weak = This photo can be used, but its picture will not be a fine one.
praise-of-several-eyes =
    { $praise } { $eyes ->
        [2] Of the two eyes we see, the better one is used.
       *[other] Of the { $eyes } eyes we see, the best one is used.
    }

tip-come-closer = A photo from closer shows more of your iris.
tip-turn-from-light = Turn a little away from the light that is mirrored in your eye to show more of it.
tip-open-eye-wider = Open your eye a little wider to show more of it.
tip-show-whole-iris = Keep the whole iris in the picture to show all of it.
tip-hold-still = For a sharper one, tap your eye on the screen and hold the camera still.
tip-more-light = Face a window or a lamp to show more of it.
tip-softer-light = Softer light, without flash, shows more of it.
tip-even-light = Even light from the front makes the edge of your iris clearer.
tip-let-pupil-open = A little less light lets your pupil open.
tip-let-pupil-close = More light makes your pupil smaller and shows more of your iris.
tip-look-straight = Look straight into the camera for a rounder iris.


## While a job goes on

step-none-yet = Processing...
step-loading = Preparing your image...
step-segmenting = Finding your iris...
step-removing-reflections = Removing reflections...
step-enhancing = Enhancing quality...
step-saving = Almost done...
step-completed = Complete!

retrying = Trying again, attempt { $attempt }

waiting-retry-backoff = Trying again, attempt { $attempt } after a short pause.
waiting-no-worker-alive = No worker is running at the moment. Your photo keeps its place.
waiting-service = Our service has a problem at the moment. Your photo is safe and goes on by itself.
waiting-own-jobs-ahead =
    { $ahead ->
        [one] 1 photo
       *[other] { $ahead } photos
    } of your own first.
waiting-fairness-turn =
    One of your photos is being worked on; { $ahead ->
        [one] 1 photo
       *[other] { $ahead } photos
    } of others first.
waiting-queue-ahead =
    { $ahead ->
        [one] 1 photo
       *[other] { $ahead } photos
    } ahead of yours.
waiting-queue-ahead-with-own =
    { $ahead ->
        [one] 1 photo
       *[other] { $ahead } photos
    } ahead of this one, { $own } of them your own.
waiting-workers-busy = You are next; all workers are busy.
waiting-next = You are next.


## Why a job ended without a picture

failure-storage-unavailable = We could not reach our photo storage.
    .suggestion = Tap 'Reprocess' to try again.
failure-timed-out = Processing took too long, so we stopped it.
    .suggestion = Tap 'Reprocess' to try again.
failure-step-failed = Something went wrong on our side while working on your photo.
    .suggestion = Tap 'Reprocess' to try again, or try with a different photo.
failure-worker-lost = Our worker stopped several times while working on your photo.
    .suggestion = Tap 'Reprocess' to try again, or try with a different photo.
failure-cancelled = This picture was stopped before it was finished.
    .suggestion = Tap 'Reprocess' to start it again.
failure-deleted = This picture was deleted.
    .suggestion = Take a new photo to make another one.
failure-result-missing = This picture was finished, but it is no longer in our storage.
    .suggestion = Tap 'Reprocess' to make it again.
failure-unexpected = Something unexpected went wrong on our side.
    .suggestion = Please try again later.


## What the API answers when a request cannot be met

error-not-authenticated = Not authenticated
error-invalid-token = Could not validate credentials
error-token-expired = Token expired
error-token-in-url = This server accepts no token in the address; use a ticket, a sub-protocol or the first frame.
error-wrong-credentials = Incorrect email or password
error-account-inactive = User account is inactive
error-registration-closed = This server takes no new accounts; ask its operator for one.
error-email-taken = Email already registered
error-wrong-password = The current password is not right.
error-password-changed = The password was changed in the meantime by another request. This one changed nothing.
error-confirmation-missing = Send {"{"}"confirm": true{"}"} to delete your account and everything in it.
error-consent-required = This server needs your consent first: POST /api/v1/privacy/consent with consent_type biometric_capture.
error-photo-expired = The original of this photo is no longer kept. Upload it again.
error-not-found =
    { $what ->
        [batch] Batch not found
        [consent] Consent record not found
        [file] There is no such file.
        [job] Job not found
        [original-job] Original job not found
        [photo] Photo not found or access denied
        [session] Session not found
        [webhook] Webhook not found
        [webhook-delivery] Webhook delivery not found
       *[path] Not found
    }
error-method-not-allowed = This path does not take this method.
error-not-uploaded = This photo has not been uploaded yet: PUT its bytes to the upload URL, then confirm.
error-already-confirmed = This photo was confirmed before and does not change. Announce another one for other bytes.
error-no-valid-photos = No valid photos found for processing
error-idempotency-key-reused = This Idempotency-Key was used for another request. Use a new one.
error-link-expired = This link has expired; ask for a new one.
error-link-invalid = This link is not valid.
error-content-type-differs = This upload URL is for Content-Type { $expected }.
error-photo-too-large = The photo is larger than { $limit } MB. Send a smaller one.
error-body-too-large = The body is larger than 64 KiB. Send less at once.
error-body-too-slow = The request came too slowly and was given up. Send it again.
error-took-too-long = This took too long on our side. Try again shortly.
error-metrics-forbidden = Send the operator's token, or an admin's access token, as bearer.
error-range-not-satisfiable = The range lies outside of the file.
error-unavailable = The service cannot do this at the moment. Try again shortly.
error-conflict = Something that this refers to was changed or deleted in the meantime. Look at it again before you repeat this.
error-internal = Something went wrong on our side.

error-busy =
    { $what ->
        [sign-ins] Too many sign-ins at this moment.
       *[photos] Too many photos are being read at this moment.
    } Try again in { $retry_after } seconds.
error-too-many-attempts = Too many failed sign-ins: the limit is { $limit }, then one every { $interval } s. Try again in { $retry_after } seconds.
error-too-many-registrations = The limit is { $limit } new accounts for { $whose }, then one every { $interval } s. Try again in { $retry_after } seconds.
error-rate-limited = The limit is { $per_second } requests a second for { $whose }. Wait { $retry_after } s, then go on more slowly.
error-queue-full = The limit is { $limit } unfinished jobs for { $whose }. Wait until some have finished, then submit again.
error-storage-full = The limit is { $limit } of photos and results for one account. Delete some, then try again.
error-too-many-sockets = The limit is { $limit } open sockets for { $whose }. Close some, or ask for the job instead.
error-too-many-transfers = The limit is { $limit } uploads and downloads at once for { $whose }. Try again in { $retry_after } s.
error-too-many-connections = The limit is { $limit } connections at once for { $whose }. Close some, or try again in { $retry_after } s.
error-too-many-unconfirmed = The limit is { $limit } announced photos that are not confirmed for one account. Confirm or delete some, or wait until they are forgotten.
error-too-many-consents = The limit is { $limit } consents on record for one account. Ask the operator of this server.
error-too-many-webhooks = The limit is { $limit } webhooks for one account. Delete one, or change one that you have.
error-webhook-disabled = This webhook is disabled. Enable it, then send the message again.
error-webhook-backlog-full = Too many messages of this webhook are pending. Wait until some are delivered.
error-delivery-erased = The deletion of a job was delivered, and nothing of the job is kept that could be sent again.

# Whose limit it is; part of the messages above.
limit-of-account = one account
limit-of-address = one address
limit-of-this-address = this address
limit-of-server = this server


## What is wrong with a field of a request

invalid-email = This is not an email address.
invalid-email-too-long = at most { $limit } characters
invalid-password = The password is too simple: { $missing }.
password-too-short = use at least { $least } characters
password-too-long = use at most { $most } characters
password-without-upper-case = add an upper-case letter
password-without-lower-case = add a lower-case letter
password-without-digit = add a digit
# In the words of the library that could not parse it; for developers.
invalid-as-parsed = { $reason }
invalid-page = pages are counted from 1 to { $last }
invalid-page-size = a page has 1 to { $most } items
invalid-id = not a valid UUID
invalid-wait = a request waits 0 to { $most } seconds
invalid-idempotency-key = a key has 1 to { $longest } visible ASCII characters
invalid-batch-size = A batch has at most { $limit } photos; send several batches.
invalid-image-type = This is no image type; use image/jpeg, image/png or image/webp.
invalid-form-without-file = no file in the form: send the photo in a field named `file`
invalid-upload-broke-off = the upload broke off: { $reason }
invalid-jurisdiction = one of gdpr, bipa, ccpa, generic
invalid-consent-type = one of biometric_capture, data_processing, marketing
invalid-consent-versions-differ = differs from text_version; send one of them, or both alike
invalid-field-missing = this field is required
invalid-consent-version = 1 to { $longest } characters
invalid-webhook-url = an https URL with a host and without a fragment, as in https://example.com/irisflow
invalid-webhook-url-too-long = at most { $limit } bytes
invalid-webhook-url-not-https = the URL must begin with https://
invalid-webhook-url-credentials = no user name and password in the URL; check the signature instead
invalid-webhook-url-private = this address belongs to a private or internal network, which this server does not send to
invalid-webhook-events = one or more of job.queued, job.progress, job.retrying, job.completed, job.failed, job.cancelled, job.deleted
invalid-webhook-description = at most { $limit } characters
invalid-webhook-overlap = at most { $limit } ms


## What the API confirms

logged-out = Logged out successfully
account-deleted = Your account and everything in it was deleted.

# What people agree to before a photo of theirs is taken in, where the operator has no text of their own.
# Another wording is another version, which needs consent again.
consent-biometric =
    The pattern of your iris is biometric data: it can tell you apart from everybody else. That is why we ask before we take a photo of it.

    What it is for: from the photos that you give us we find your iris and make a clean, enlarged picture of it for you. We use them for nothing else. They are not sold and not used to recognise anybody.

    What is kept: your photos and the pictures made from them, until you delete them or your account, or until the time is up that this service keeps them for.

    Your rights: you can withdraw this consent at any time; after that no photo is taken in and nothing more is made. You can delete single photos, single pictures, or your account with everything in it at any time.

    By agreeing you say that you have read this, and that the eye is yours or that you may decide for the person whose eye it is.

jurisdiction-gdpr = European Union (GDPR)
jurisdiction-bipa = Illinois (BIPA)
jurisdiction-ccpa = California (CCPA)
jurisdiction-generic = General


## Why the socket of a job is refused or closed

socket-credential-missing = Send an access token or a ticket.
socket-hello-missing = The first frame must be a hello, within 10 seconds.
socket-frame-invalid = A frame is a JSON object with a type.
socket-filter-too-long = A filter lists at most { $most } jobs.
socket-token-missing = Token missing from query parameters
socket-token-expired = Refresh the access token and connect again.
socket-token-invalid = The token is not valid, or its session has ended.
socket-account-inactive = Ask the operator of this server.
socket-job-not-found = No job with ID { $job }
socket-job-deleted = Job was deleted
socket-origin-not-allowed = This page may not open this socket.
socket-timeout = Maximum connection time exceeded. Job continues in background.
socket-internal = The service cannot say more at the moment. Connect again shortly.

end-signed-out = Your sign-in has ended. Your picture goes on without you.
    .suggestion = Sign in again to see it.
end-account-inactive = This account has been switched off.
    .suggestion = Please ask the people who run this server.
end-unknown-job = This picture is not here.
    .suggestion = It may have been deleted. Take a new photo to make another one.
end-foreign-origin = This page may not show this picture.
    .suggestion = Open the picture on the server's own page.


## What the command line shows of photos and jobs

cli-usable = usable
cli-usable-with-score = usable, { $score } of 100
cli-not-usable = not usable, { $code }
cli-not-usable-with-figure = not usable, { $code } ({ $figure })
cli-uploading = Uploading...
cli-waiting-for-turn = Waiting for its turn...
cli-retrying = Trying again, attempt { $attempt }...
cli-eta = { $words } { $low } to { $high } s
cli-eta-slow = { $words } { $low } to { $high } s, slower than usual
cli-connection-lost = { $reason }; the job goes on, connecting again in { $seconds } s...
cli-password-too-simple = the password is too simple: { $missing }
cli-cancelled = cancelled
cli-deleted = deleted
cli-error = error: { $error }
cli-not-in-batch = the server did not take it into its batch
cli-interrupted-all-finished = Interrupted; no job is unfinished.
cli-interrupted-unfinished = Interrupted. { $count } unfinished on the server, which works on; come back with:{"\u000A"}  { $command }
cli-interrupted-watching = Interrupted; the server works on.
