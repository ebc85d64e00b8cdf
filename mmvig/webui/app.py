"""The page, in Gradio. Nothing leaves the machine: no telemetry, no fonts from other servers."""

import os

# Read by Gradio and its hub client at import.
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'

import gradio

from mmvig.apis.inference import Predictor

from .predict import MAX_MEGABYTES, SUFFIXES, predict_upload

CACHE_SECONDS = 3600  # uploads and results are deleted after this time
BUTTONS = ['download', 'fullscreen']  # not 'share', which would upload the picture
STYLE = '#inside .grid-wrap { max-height: none }'  # all figures, without a scroll bar of their own


def build_app(predictors: dict[str, Predictor]) -> gradio.Blocks:
    """A page that offers the models by their labels and predicts one upload at a time."""
    labels = list(predictors)

    def respond(path: str | None, label: str, score_thr: float, inspect: bool):
        picture, text, figures = predict_upload(predictors[label], path, score_thr, inspect)
        return picture, text, [figure for figure, _ in figures]

    with gradio.Blocks(
        title='mmvig', analytics_enabled=False, delete_cache=(CACHE_SECONDS, CACHE_SECONDS)
    ) as page:
        gradio.Markdown('# mmvig\nDrop an image, choose, and look. It stays on this machine.')
        with gradio.Row():
            with gradio.Column(scale=1):
                upload = gradio.File(
                    label=f'image, at most {MAX_MEGABYTES} MiB',
                    file_types=list(SUFFIXES),
                    type='filepath',
                    elem_id='upload',
                )
                task = gradio.Radio(labels, value=labels[0], label='task')
                threshold = gradio.Slider(
                    0, 1, value=0.3, step=0.05, label='least score that is drawn (detection)'
                )
                inside = gradio.Checkbox(label='also draw what goes on inside (slower)')
                button = gradio.Button('Look', variant='primary', elem_id='look')
            with gradio.Column(scale=2):
                shown = gradio.Image(
                    label='what was found',
                    format='png',
                    interactive=False,
                    buttons=BUTTONS,
                    elem_id='shown',
                )
                words = gradio.Markdown(elem_id='words')
        figures = gradio.Gallery(
            show_label=False,
            format='png',
            columns=2,
            object_fit='contain',
            interactive=False,
            buttons=BUTTONS,
            elem_id='inside',
        )
        button.click(
            respond,
            [upload, task, threshold, inside],
            [shown, words, figures],
            concurrency_limit=1,
            api_name=False,
        )
    return page


def launch(page: gradio.Blocks, port: int) -> str:
    """Serve on 127.0.0.1 only, in background threads; returns the address.

    Raises:
        OSError: the port is in use.
    """
    fonts = ['system-ui', 'sans-serif']
    _, address, _ = page.launch(
        server_name='127.0.0.1',
        server_port=port,
        share=False,
        max_file_size=MAX_MEGABYTES * 2**20,
        prevent_thread_lock=True,
        show_error=True,
        quiet=True,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        css=STYLE,
        theme=gradio.themes.Default(font=fonts, font_mono=['monospace']),
    )
    return address
