# A model to talk with, for a user without rights and a file system that may be read only:
#   docker build -t scratchgpt .
#   docker run --rm -it --read-only --tmpfs /tmp scratchgpt chat
#   docker run --rm -v "$PWD/runs:/runs" scratchgpt train --out /runs/mine
FROM python:3.12-slim AS build
COPY . /source
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir /source

FROM python:3.12-slim
COPY --from=build /venv /venv
RUN useradd --create-home --uid 10001 reader && chmod -R a+rX /venv
USER reader
WORKDIR /home/reader
# The kernels are compiled here and not at every start; on another kind of CPU they are compiled anew.
ENV NUMBA_CACHE_DIR=/home/reader/.cache/scratchgpt PATH=/venv/bin:$PATH
RUN scratchgpt chat --prompt 你好
ENTRYPOINT ["scratchgpt"]
CMD ["chat"]
