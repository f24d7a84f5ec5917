//! Names of modules that come from outside a repository: the standard library and widely used packages.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Top-level modules of CPython 3.6 to 3.14 and those removed on the way, sorted.
const STANDARD_LIBRARY: &str = "\
    __future__ __main__ _abc _aix_support _android_support _ast _asyncio _bisect _blake2 _bootsubprocess _bz2 \
    _codecs _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc \
    _colorize _compat_pickle _compression _contextvars _crypt _csv _ctypes _curses _curses_panel _datetime _dbm \
    _decimal _dummy_threading _elementtree _frozen_importlib _frozen_importlib_external _functools _gdbm _hashlib \
    _heapq _imp _interpchannels _interpqueues _interpreters _io _ios_support _json _locale _lsprof _lzma _markupbase \
    _md5 _msi _multibytecodec _multiprocessing _opcode _opcode_metadata _operator _osx_support _overlapped _pickle \
    _posixshmem _posixsubprocess _py_abc _pydatetime _pydecimal _pyio _pylong _pyrepl _queue _random _scproxy _sha1 \
    _sha2 _sha256 _sha3 _sha512 _signal _sitebuiltins _socket _sqlite3 _sre _ssl _stat _statistics _string _strptime \
    _struct _suggestions _symtable _sysconfig _thread _threading_local _tkinter _tokenize _tracemalloc _typing _uuid \
    _warnings _weakref _weakrefset _winapi _wmi _zoneinfo abc aifc antigravity argparse array ast asynchat asyncio \
    asyncore atexit audioop base64 bdb binascii binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath \
    cmd code codecs codeop collections colorsys compileall concurrent configparser contextlib contextvars copy \
    copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest dummy_threading \
    email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter fractions ftplib \
    functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib \
    imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale logging lzma \
    macpath mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib \
    nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev parser pathlib pdb pickle pickletools pipes \
    pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc \
    pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter runpy sched secrets select \
    selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile \
    sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symbol symtable sys \
    sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this threading time timeit tkinter \
    token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest \
    urllib uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile \
    zipimport zlib zoneinfo";

/// Import names of packages so common that a file or folder of the same name proves nothing, sorted.
const WELL_KNOWN: &str = "\
    IPython MySQLdb PIL PyQt4 PyQt5 PyQt6 PySide2 PySide6 absl accelerate aiofiles aiohttp airflow alembic altair \
    anthropic antlr4 anyio apscheduler arrow asgiref astropy asyncpg attr attrs authlib aws_cdk azure babel bandit \
    bcrypt beautifulsoup4 behave black bleach blinker bokeh boto boto3 botocore bottle bs4 cachetools celery certifi \
    cffi chardet charset_normalizer cherrypy click cloudpickle colorama coverage crispy_forms cryptography cv2 \
    cycler cython dash dask databases datasets dateutil debugpy decorator diffusers discord distributed django \
    django_filters dns docker docopt docutils dotenv ecdsa elasticsearch environ execnet fabric factory faiss faker \
    fastapi fastavro filelock fire fitz flake8 flask flask_login flask_sqlalchemy fsspec gensim gevent git github \
    gitlab google gql graphene graphql greenlet grpc gunicorn gym gymnasium h11 h2 h5py html5lib httplib2 httpx \
    huggingface_hub hypothesis idna igraph imageio importlib_metadata importlib_resources influxdb invoke ipykernel \
    ipywidgets isort itsdangerous jax jaxlib jedi jinja2 jmespath joblib jose jsonschema jupyter jwt kafka keras \
    kivy kombu kubernetes langchain lightgbm lightning llvmlite lockfile loguru lxml mako markdown markdown2 \
    markupsafe marshmallow matplotlib mccabe mistune mlflow mock mongoengine more_itertools moto motor mpmath \
    msgpack multidict mypy mypy_extensions mysql nbconvert nbformat neo4j networkx nltk nose notebook numba numexpr \
    numpy oauthlib odoo onnx onnxruntime openai openpyxl opentelemetry optuna orjson packaging pandas paramiko \
    passlib paste pathspec patsy peewee pexpect pillow pip pkg_resources platformdirs playwright plotly pluggy \
    polars prettytable prometheus_client prompt_toolkit proto psutil psycopg psycopg2 ptyprocess py pyarrow pyasn1 \
    pybind11 pycodestyle pycparser pycurl pydantic pydantic_core pydantic_settings pydot pyflakes pygame pygments \
    pylint pymongo pymysql pynput pyodbc pyparsing pyperclip pyproj pyramid pyrsistent pyspark pytest pytest_asyncio \
    pytest_mock pytorch_lightning pytz pywt pyximport qtpy rapidfuzz ray readthedocs redis regex reportlab requests \
    requests_mock requests_oauthlib responses rest_framework rich rq rsa ruamel s3fs sanic scapy scikit_learn scipy \
    scrapy seaborn selenium sentencepiece sentry_sdk serial setproctitle setuptools shapely shiboken6 simplejson six \
    skimage sklearn slack_sdk sniffio snowflake socketio sortedcontainers soupsieve spacy sphinx sphinx_rtd_theme \
    sqlalchemy sqlmodel sqlparse starlette statsmodels streamlit structlog sympy tables tabulate telegram tenacity \
    tensorboard tensorflow termcolor testfixtures textual thrift tiktoken timm tokenizers toml tomli tomlkit toolz \
    torch torchaudio torchvision tornado tox tqdm traitlets transformers treq trio twilio twine twisted typeguard \
    typer typing_extensions tzdata tzlocal ujson urllib3 uvicorn uvloop vcr virtualenv voluptuous waitress wandb \
    watchdog watchfiles webob websocket websockets webtest werkzeug wheel wrapt wsproto wtforms wx xarray xgboost \
    xlrd xlsxwriter xmltodict yaml yarl zeep zmq zope zstandard";

/// The two lists, ready to be asked.
#[derive(Debug)]
pub(crate) struct Outside {
    standard: HashSet<&'static str>,
    well_known: HashSet<&'static str>,
}

impl Outside {
    pub(crate) fn get() -> &'static Self {
        static OUTSIDE: LazyLock<Outside> = LazyLock::new(|| Outside {
            standard: STANDARD_LIBRARY.split_whitespace().collect(),
            well_known: WELL_KNOWN.split_whitespace().collect(),
        });
        &OUTSIDE
    }

    /// Whether a top-level module of this name ships with Python.
    pub(crate) fn is_standard(&self, name: &str) -> bool {
        self.standard.contains(name)
    }

    /// Whether a widely used package is imported by this name.
    pub(crate) fn is_well_known(&self, name: &str) -> bool {
        self.well_known.contains(name)
    }
}
